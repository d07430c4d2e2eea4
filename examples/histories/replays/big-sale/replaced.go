package main

import (
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/watertight-go/watertight/examples/histories/replays/internal/history"
	"github.com/watertight-go/watertight/internal/sockstat"
	"github.com/watertight-go/watertight/internal/timeline"
)

// gone is what became of the connections to a backend that was replaced.
type gone struct {
	Warm    int // sockets that the shop had to it before
	Lost    int // orders that met it, and failed, of those made afterwards
	After   int
	Lingers int // sockets that the shop still had to it in the end
	Origins int // that its pool knew at rest; -1: it cannot tell
	Old     *timeline.Timeline
}

// replaced plays a backend that is taken out of service: it stops to answer, and its name leads to another.
func (r *run) replaced(s *history.Stage) error {
	old, port, err := s.Serve(roleBackend, time.Minute)
	if err != nil {
		return err
	}
	defer old.Kill()
	next, other, err := s.Serve(roleBackend, time.Minute)
	if err != nil {
		return err
	}
	defer next.Stop()
	s.Say("%s: the backend stops to answer, and its name leads to another", r.Transport)
	shop, at, err := s.Serve(roleShop, shopJob{Transport: r.Transport, Backend: port, Lifetime: lifetime, Patience: 400 * time.Millisecond})
	if err != nil {
		return err
	}
	defer shop.Stop()
	if r.Old, err = timeline.Watch(port); err != nil {
		return err
	}
	base := fmt.Sprintf("http://127.0.0.1:%d", at)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: customers}}
	defer client.CloseIdleConnections()
	good(client, base, customers, 10)
	r.Warm = owned(shop, port)
	if err := old.Signal(stop); err != nil {
		return err
	}
	ask(client, fmt.Sprint(base, "/move?port=", other))
	r.Old.Mark("it is replaced")
	r.After = history.Pick(s, 4, 10) // each takes a connection to the old one away
	r.Lost = good(client, base, 2, r.After/2)
	for deadline := time.Now().Add(history.Pick(s, lifetime, 6*lifetime)); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if r.Lingers = owned(shop, port); r.Lingers == 0 && s.Short {
			break
		}
	}
	for deadline := time.Now().Add(3 * lifetime); ; time.Sleep(20 * time.Millisecond) {
		if r.Origins, err = origins(client, at); err != nil || r.Origins <= 0 || time.Now().After(deadline) {
			break
		}
	}
	if err != nil {
		return err
	}
	return r.Old.Stop()
}

// lifetime is MaxConnLifetime of ours.
const lifetime = time.Second

// good makes good orders, some at once and each so often, and returns how many failed.
func good(client *http.Client, base string, atOnce, times int) (failed int) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range atOnce {
		wg.Go(func() {
			for range times {
				if status, _ := ask(client, base+"/order?kind=good"); status != http.StatusOK {
					mu.Lock()
					failed++
					mu.Unlock()
				}
				time.Sleep(10 * time.Millisecond)
			}
		})
	}
	wg.Wait()
	return failed
}

// owned returns how many sockets a process has to a port.
func owned(c *history.Child, port uint16) int {
	sockets, err := sockstat.List(sockstat.Filter{RemotePort: port, PID: c.PID()})
	if err != nil {
		return -1
	}
	return len(sockets)
}
