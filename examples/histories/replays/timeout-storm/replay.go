package main

import (
	"fmt"
	"time"

	"github.com/watertight-go/watertight/examples/histories/replays/internal/history"
	"github.com/watertight-go/watertight/internal/timeline"
)

// A run is what one client made of the acts.
type run struct {
	Client    string
	Slip      outcome
	Storm     outcome
	TimeWait  int // sockets at the end of the storm
	Never     outcome
	Waiting   int // sockets once all requests that nobody answers had given up
	Remaining int // and after SalvageTimeout
	Timeline  *timeline.Timeline
}

// maxSalvaged is how many connections per host wait for an answer that nobody wants, at most, by the documentation of SalvageTimeout.
const maxSalvaged = 256

// replay plays the acts with each client.
func replay(s *history.Stage) (runs []*run, err error) {
	for _, name := range []string{history.Std, fast, history.Ours} {
		r := &run{Client: name}
		if r.Slip, err = r.act(s, job{Act: actSlip}, func(*timeline.Timeline) error { return nil }); err != nil {
			return nil, err
		}
		s.Say("%s: answers that come after the timeout", name)
		if r.Storm, err = r.act(s, job{Act: actStorm, Length: history.Pick(s, time.Second, 4*time.Second)}, r.look); err != nil {
			return nil, err
		}
		if name == history.Ours {
			s.Say("%s: answers that never come", name)
			if r.Never, err = r.act(s, job{Act: actNever}, r.bounds); err != nil {
				return nil, err
			}
		}
		runs = append(runs, r)
	}
	return runs, nil
}

// act plays one act against a server of its own, and then calls look, while the client's process is still there.
func (r *run) act(s *history.Stage, j job, look func(*timeline.Timeline) error) (o outcome, err error) {
	server, port, err := s.Serve(roleServer, struct{}{})
	if err != nil {
		return o, err
	}
	defer server.Stop()
	line, err := timeline.Watch(port)
	if err != nil {
		return o, err
	}
	j.Client, j.Base = r.Client, fmt.Sprintf("http://127.0.0.1:%d", port)
	c, err := s.Start(roleClient, j)
	if err != nil {
		return o, err
	}
	defer c.Stop()
	if err := c.Receive(&o); err != nil {
		return o, err
	}
	if err := look(line); err != nil {
		return o, err
	}
	return o, line.Stop()
}

// look waits until the storm's sockets have come to rest: none is in between.
func (r *run) look(line *timeline.Timeline) error {
	line.Mark("it ends")
	counts, err := line.Until(time.Second, func(c map[string]int) bool { return c["FIN_WAIT1"]+c["FIN_WAIT2"] == 0 })
	r.TimeWait, r.Timeline = counts["TIME_WAIT"], line
	return err
}

// bounds sees how many connections wait for an answer, and that none does for longer than SalvageTimeout.
func (r *run) bounds(line *timeline.Timeline) error {
	open := func(c map[string]int) int { return c["ESTABLISHED"] }
	counts, err := line.Until(salvage/2, func(c map[string]int) bool { return open(c) <= maxSalvaged })
	if err != nil {
		return err
	}
	r.Waiting = open(counts)
	counts, err = line.Until(2*salvage, func(c map[string]int) bool { return open(c) == 0 })
	r.Remaining = open(counts)
	return err
}
