package main

import (
	"fmt"
	"time"

	"github.com/watertight-go/watertight/examples/histories/replays/internal/history"
	"github.com/watertight-go/watertight/internal/timeline"
)

// limit is MaxConnsPerHost.
const limit = 400

// A run is what one client made of the acts.
type run struct {
	Transport string
	Before    map[string]int // sockets by state when the callers came in the first act
	Forgotten outcome
	Held      outcome
	Remedy    outcome
	Timeline  *timeline.Timeline // of the first act
}

// The number of callers that come when all is leased, and of downloads.
const (
	callers   = 25
	downloads = 40
)

// replay plays the three acts with each client.
func replay(s *history.Stage) (runs []*run, err error) {
	for _, name := range []string{history.Std, history.Ours} {
		r := &run{Transport: name}
		if err := r.forgotten(s); err != nil {
			return nil, err
		}
		if r.Held, err = r.act(s, job{Act: actHeld, Callers: 1, Patience: 2 * acquireTimeout}); err != nil {
			return nil, err
		}
		j := job{Act: actRemedy, Callers: callers, Download: downloads, Patience: 20 * time.Second}
		j.Pause = history.Pick(s, 75*time.Millisecond, 200*time.Millisecond)
		if name == history.Std {
			j.Brute = time.Second / 2
		}
		if r.Remedy, err = r.act(s, j); err != nil {
			return nil, err
		}
		runs = append(runs, r)
	}
	return runs, nil
}

// forgotten plays the first act, as it happened, and watches the kernel.
func (r *run) forgotten(s *history.Stage) error {
	idle := history.Pick(s, 500*time.Millisecond, 2*time.Second)
	server, port, err := s.Serve(roleServer, serverJob{Idle: idle})
	if err != nil {
		return err
	}
	defer server.Stop()
	s.Say("%s: %d bodies are forgotten, and the server hangs up", r.Transport, limit)
	if r.Timeline, err = timeline.Watch(port); err != nil {
		return err
	}
	patience := history.Pick(s, 1500*time.Millisecond, 5*time.Second)
	c, err := s.Start(roleClient, job{Transport: r.Transport, Act: actForgotten, Base: base(port), Limit: limit, Callers: callers, Patience: patience})
	if err != nil {
		return err
	}
	defer c.Stop()
	var m message
	if err := c.Receive(&m); err != nil {
		return err
	}
	if r.Before, err = r.Timeline.HungUp(10 * time.Second); err != nil {
		return err
	}
	r.Timeline.Mark(fmt.Sprintf("%d callers come", callers))
	begun := time.Now()
	if err := c.Send("begin"); err != nil {
		return err
	}
	if err := c.Receive(&m); err != nil {
		return err
	}
	r.Forgotten = m.outcome
	if !s.Short {
		time.Sleep(patience - time.Since(begun)) // as long as the other was watched, for the plot
	}
	return r.Timeline.Stop()
}

// act plays another act, with a server that keeps its connections.
func (r *run) act(s *history.Stage, j job) (outcome, error) {
	server, port, err := s.Serve(roleServer, serverJob{Idle: time.Minute})
	if err != nil {
		return outcome{}, err
	}
	defer server.Stop()
	s.Say("%s: %s", r.Transport, map[string]string{actHeld: "the bodies are truly held", actRemedy: "the pool has to be freed under downloads"}[j.Act])
	j.Transport, j.Base, j.Limit = r.Transport, base(port), limit
	c, err := s.Start(roleClient, j)
	if err != nil {
		return outcome{}, err
	}
	defer c.Stop()
	var m message
	if err := c.Receive(&m); err != nil {
		return outcome{}, err
	}
	if err := c.Send("begin"); err != nil {
		return outcome{}, err
	}
	err = c.Receive(&m)
	return m.outcome, err
}

func base(port uint16) string { return fmt.Sprintf("http://127.0.0.1:%d", port) }
