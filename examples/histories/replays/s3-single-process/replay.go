package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/watertight-go/watertight/examples/histories/replays/internal/history"
	"github.com/watertight-go/watertight/internal/timeline"
)

// A run is what became of the workers' connections with one strategy.
type run struct {
	Strategy string
	Workers  int
	After    map[string]int // sockets by state, after the last worker's call and before the server hung up on it
	Idle     int            // connections that the pools of ours say to have then
	End      map[string]int // sockets at the end, when the server had long hung up
	Timeline *timeline.Timeline
}

// replay plays all strategies at once, each with a server of its own.
func replay(s *history.Stage) ([]*run, error) {
	most, some := history.Pick(s, 8, 50), history.Pick(s, 3, 10)
	runs := []*run{
		{Strategy: lazy, Workers: most}, {Strategy: history.Std, Workers: most}, {Strategy: history.Ours, Workers: most},
		{Strategy: closeIdle, Workers: some}, {Strategy: noPool, Workers: some}, {Strategy: goodbye, Workers: some},
	}
	s.Say("one call in each of %d processes, with six pools", most)
	errs := make(chan error)
	for _, r := range runs {
		go func() { errs <- r.play(s, history.Pick(s, time.Second, 5*time.Second)) }()
	}
	var err error
	for range runs {
		err = errors.Join(err, <-errs)
	}
	return runs, err
}

// play starts the workers and watches their connections until the server has hung up on all, and for a while after.
func (r *run) play(s *history.Stage, idle time.Duration) error {
	server, port, err := s.Serve(roleServer, serverJob{Idle: idle, Close: r.Strategy == goodbye})
	if err != nil {
		return err
	}
	defer server.Stop()
	if r.Timeline, err = timeline.Watch(port); err != nil {
		return err
	}
	var workers []*history.Child
	for range r.Workers {
		c, err := s.Start(roleWorker, workerJob{r.Strategy, fmt.Sprintf("http://127.0.0.1:%d", port)})
		if err != nil {
			return err
		}
		defer c.Stop()
		workers = append(workers, c)
	}
	for _, c := range workers {
		var done result
		if err := c.Receive(&done); err != nil {
			return err
		}
		if done.Bytes != size {
			return fmt.Errorf("%s: a call read %d bytes: %s", r.Strategy, done.Bytes, done.Error)
		}
		r.Idle += done.Idle
	}
	r.Timeline.Mark("all have called")
	if r.After, err = r.Timeline.Until(idle/2, none); err != nil { // before the server hangs up
		return err
	}
	if _, err = r.Timeline.Until(2*idle+history.Allowance, nobody); err != nil {
		return err
	}
	time.Sleep(idle) // nothing is waited for: the workers have nothing to do
	ended := none
	if r.Strategy == lazy {
		ended = nobody
	}
	r.End, err = r.Timeline.Until(history.Allowance, ended)
	return errors.Join(err, r.Timeline.Stop())
}

// none reports whether no process has a connection.
func none(counts map[string]int) bool { return timeline.Open(counts) == 0 }

// nobody reports whether no connection has both ends.
func nobody(counts map[string]int) bool { return counts["ESTABLISHED"] == 0 }
