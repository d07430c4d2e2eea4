package history

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// A Stage is where a history is replayed: it starts processes, and ends them.
type Stage struct {
	Short bool // play it smaller, in a few seconds
	log   io.Writer

	mu       sync.Mutex
	children []*Child
}

// NewStage returns a Stage. Progress is written to log, and what the processes write to their standard error.
func NewStage(short bool, log io.Writer) *Stage { return &Stage{Short: short, log: log} }

// Allowance is how long a machine that has much else to do may take for what happens at once.
const Allowance = 5 * time.Second

// Pick returns short for a short replay and full for a full one.
func Pick[T any](s *Stage, short, full T) T {
	if s.Short {
		return short
	}
	return full
}

// Say tells what is played now.
func (s *Stage) Say(format string, args ...any) { fmt.Fprintf(s.log, format+"\n", args...) }

// Start starts a process in a role and sends it its job.
func (s *Stage) Start(role string, job any) (*Child, error) { return s.StartLogged(role, job, s.log) }

// StartLogged is Start with a place of its own for what the process writes to its standard error.
func (s *Stage) StartLogged(role string, job any, stderr io.Writer) (*Child, error) {
	c, err := start(role, stderr)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.children = append(s.children, c)
	s.mu.Unlock()
	return c, c.Send(job)
}

// Serve starts a server's process and returns it with the port that it says to listen on.
func (s *Stage) Serve(role string, job any) (c *Child, port uint16, err error) {
	if c, err = s.Start(role, job); err == nil {
		err = c.Receive(&port)
	}
	return c, port, err
}

// End ends the processes, the last first.
func (s *Stage) End() {
	s.mu.Lock()
	children := s.children
	s.children = nil
	s.mu.Unlock()
	for i := len(children) - 1; i >= 0; i-- {
		children[i].Stop()
	}
}
