package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"github.com/watertight-go/watertight/examples/histories/replays/internal/history"
	"github.com/watertight-go/watertight/internal/sockstat"
	"github.com/watertight-go/watertight/internal/timeline"
)

// A proxied is a client behind HAProxy with one set of options, and what became of its sockets once the pods had vanished.
type proxied struct {
	Transport string
	Options   string // of HAProxy, besides its long timeouts
	HalfOpen  int    // sockets of the client in CLOSE_WAIT
	Open      int    // sockets of the client in all
	Proxy     int    // sockets that HAProxy still has to the pods
	Timeline  *timeline.Timeline

	port   uint16
	pods   []*history.Child
	ports  []uint16 // of the pods
	holder *history.Child
}

// options are the sets that are compared, by the names that the table has for them.
var options = []struct{ name, lines string }{
	{"as it was", ""},
	{"abortonclose", "    option abortonclose\n"},
	{"*-fin 1s", "    timeout client-fin 1s\n    timeout server-fin 1s\n"},
}

const bodies = 20 // that each client holds

// replayProxy plays HAProxy with each client and each set of options at once.
func replayProxy(s *history.Stage) (all []*proxied, err error) {
	config := "global\n    maxconn 1000\ndefaults\n    mode tcp\n    timeout connect 1s\n    timeout client 2h\n    timeout server 2h\n"
	ports, err := freePorts(2 * len(options))
	if err != nil {
		return nil, err
	}
	for _, name := range []string{history.Std, history.Ours} {
		for _, o := range options {
			p := &proxied{Transport: name, Options: o.name, port: ports[len(all)]}
			if err := p.startPods(s); err != nil {
				return nil, err
			}
			config += fmt.Sprintf("listen l%d\n    bind 127.0.0.1:%d\n%s", len(all), p.port, o.lines)
			for i, port := range p.ports {
				config += fmt.Sprintf("    server pod%d 127.0.0.1:%d\n", i, port)
			}
			all = append(all, p)
		}
	}
	dir, err := os.MkdirTemp("", "half-closed-proxy")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path, err := configure(dir, "haproxy.cfg", config)
	if err != nil {
		return nil, err
	}
	haproxy, err := startServer(s, ports[0], "haproxy", "-db", "-q", "-f", path)
	if err != nil {
		return nil, err
	}
	defer haproxy.keeper.Stop()
	s.Say("HAProxy: pods vanish behind it, under %d open bodies of each client", bodies)
	return all, vanish(s, all, haproxy.pid)
}

// startPods starts two pods.
func (p *proxied) startPods(s *history.Stage) error {
	for range 2 {
		pod, port, err := s.Serve(rolePod, struct{}{})
		if err != nil {
			return err
		}
		p.pods, p.ports = append(p.pods, pod), append(p.ports, port)
	}
	return nil
}

// vanish opens the bodies, kills the pods in random order, and looks a while later at who still has which sockets.
func vanish(s *history.Stage, all []*proxied, haproxy int) (err error) {
	for _, p := range all {
		if p.Timeline, err = timeline.Watch(p.port); err != nil {
			return err
		}
		if p.holder, err = s.Start(roleHolder, holderJob{p.Transport, base(p.port), bodies}); err != nil {
			return err
		}
		defer p.holder.Stop()
	}
	for _, p := range all {
		var open int
		if err := p.holder.Receive(&open); err != nil {
			return err
		}
	}
	for _, pod := range rand.Perm(2 * len(all)) {
		p := all[pod/2]
		p.Timeline.Mark(strings.Repeat("a pod vanishes", 1-min(1, len(p.Timeline.Marks))))
		p.pods[pod%2].Kill()
		time.Sleep(50 * time.Millisecond) // they vanish one by one
	}
	time.Sleep(history.Pick(s, 1500*time.Millisecond, 5*time.Second)) // nothing is waited for: this is how long somebody might look on
	for _, p := range all {
		err = errors.Join(err, p.look(haproxy), p.Timeline.Stop())
	}
	return err
}

// look notes who still has which sockets. Those that ours is to close get some more time, where there is much else to do.
func (p *proxied) look(haproxy int) error {
	done := func(counts map[string]int) bool { return timeline.Open(counts) == 0 }
	if p.Transport == history.Std {
		done = func(counts map[string]int) bool { return counts["CLOSE_WAIT"] == bodies }
	}
	counts, err := p.Timeline.Until(history.Allowance, done)
	if err != nil {
		return err
	}
	p.HalfOpen, p.Open = counts["CLOSE_WAIT"], timeline.Open(counts)
	for deadline := time.Now().Add(history.Allowance); ; time.Sleep(20 * time.Millisecond) {
		p.Proxy = 0
		for _, port := range p.ports {
			sockets, err := sockstat.List(sockstat.Filter{RemotePort: port, PID: haproxy})
			if err != nil {
				return err
			}
			p.Proxy += len(sockets)
		}
		if p.Proxy == 0 || p.Transport == history.Std || time.Now().After(deadline) {
			return nil
		}
	}
}
