package main

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"strconv"

	"github.com/watertight-go/watertight/internal/sockstat"
	"github.com/watertight-go/watertight/internal/timeline"
)

// A result is what one run left behind.
type result struct {
	Transport string `json:"transport"`
	figures
	Kernel      bool           `json:"kernel"`      // whether the figures below could be read
	Sockets     map[string]int `json:"sockets"`     // the process's sockets to the server, by TCP state
	TimeWait    int            `json:"time_wait"`   // sockets in TIME_WAIT that this run left on the machine
	Descriptors int            `json:"descriptors"` // open in all, a dozen of them the program's own

	course *timeline.Timeline // of the sockets, while the run lasted; nil where the kernel does not tell
}

// leaks reports whether anything is left that should not be.
func (r result) leaks() bool {
	left := 0
	for _, n := range r.Sockets {
		left += n
	}
	return left > 0 || r.Goroutines > 0
}

// measure runs a job in a process of its own and looks at that process from outside.
func measure(j job, show *progress) (r result, err error) {
	r.Transport = j.Transport
	c, err := startChild(roleClient)
	if err != nil {
		return r, err
	}
	defer c.stop()
	pid := c.cmd.Process.Pid
	port := portOf(j.Small)
	if course, err := timeline.Watch(port); err == nil {
		defer func() {
			if course.Stop() == nil {
				r.course = course
			}
		}()
	}
	if err := c.send(j); err != nil {
		return r, err
	}
	if err := c.receive(&message{}); err != nil {
		return r, err
	}
	waiting := timeWaits(port)
	for {
		var m message
		if err := c.receive(&m); err != nil {
			return r, err
		}
		if m.Final != nil {
			r.figures = *m.Final
			break
		}
		show.update(j, m)
	}
	show.end()
	own, err := sockstat.List(sockstat.Filter{RemotePort: port, PID: pid})
	if errors.Is(err, errors.ErrUnsupported) {
		return r, nil
	}
	if err != nil {
		return r, err
	}
	r.Kernel = true
	r.Sockets = map[string]int{}
	for state, n := range sockstat.Count(own) {
		r.Sockets[state.String()] = n
	}
	for end := range timeWaits(port) {
		if !waiting[end] {
			r.TimeWait++
		}
	}
	r.Descriptors, err = sockstat.Descriptors(pid)
	return r, err
}

// timeWaits returns our ends of the connections to a port that are in TIME_WAIT; no process owns them any more.
func timeWaits(port uint16) map[netip.AddrPort]bool {
	ends := map[netip.AddrPort]bool{}
	all, err := sockstat.List(sockstat.Filter{RemotePort: port})
	if err != nil {
		return ends
	}
	for _, s := range all {
		if s.State == sockstat.TimeWait {
			ends[s.Local] = true
		}
	}
	return ends
}

// draw writes a plot of what the runs' sockets did.
func draw(file string, requests int, results []result) error {
	var panels []timeline.Panel
	for _, r := range results {
		if r.course == nil {
			return errors.ErrUnsupported
		}
		panels = append(panels, timeline.Panel{Title: r.Transport, Timeline: r.course})
	}
	return os.WriteFile(file, timeline.SVG(fmt.Sprintf("%d careless requests, and then nothing", requests), panels), 0o644)
}

func portOf(raw string) uint16 {
	u, err := url.Parse(raw)
	if err != nil {
		return 0
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	n, _ := strconv.ParseUint(port, 10, 16)
	return uint16(n)
}
