//go:build linux

package soak_test

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/watertight-go/watertight/internal/sockstat"
	"github.com/watertight-go/watertight/transport"
)

// patience is how long what ends by itself may take, on a busy machine.
const patience = 60 * time.Second

// eventually waits until what is wrong is nothing.
func (s *soak) eventually(when string, wrong func() string) {
	s.t.Helper()
	var last string
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if last = wrong(); last == "" {
			return
		}
	}
	buf := make([]byte, 1<<20)
	s.t.Fatalf("%s: %s\n%s", when, last, buf[:runtime.Stack(buf, true)])
}

// quiet is a look at everything while no caller does anything: the collector finds what was dropped, nothing is leased, the ledger
// adds up, and the kernel has as many sockets as it says.
func (s *soak) quiet() {
	s.t.Helper()
	s.eventually("leases at rest", func() string {
		runtime.GC()
		st := s.tr.Stats()
		if n := st.Leased + st.Bodies + st.Dialing + st.Waiting + st.Upgraded; n > 0 {
			return fmt.Sprintf("%+v, connections %+v", st.Counts, s.tr.Connections())
		}
		return ""
	})
	s.eventually("the ledger and the kernel", func() string {
		before := s.tr.Stats()
		held, err := s.sockets()
		if err != nil {
			return err.Error()
		}
		return disagreement(before, s.tr.Stats(), held)
	})
	if st := s.tr.Stats(); st.Leaks[transport.Dropped]+st.Leaks[transport.Forgotten]+st.Leaks[transport.HungUp] > s.dropped.Load()-s.droppedBefore {
		s.wrong("%v leaks, of %d bodies that were dropped", st.Leaks, s.dropped.Load()-s.droppedBefore)
	}
	s.uploads.settle(s)
	for _, w := range s.book.close() {
		s.wrong("%s", w)
	}
}

// disagreement tells what does not fit between two looks at the ledger, and one at the kernel between them.
func disagreement(st, again transport.Stats, held []sockstat.Socket) string {
	closes := int64(0)
	for _, n := range st.Closes {
		closes += n
	}
	perOrigin := 0
	for _, o := range st.Origins {
		perOrigin += o.Open
	}
	n := sockstat.Count(held)
	switch {
	case st.Dials != again.Dials || st.Open != again.Open:
		return "connections come and go"
	case int64(st.Open) != st.Dials-closes || closes != st.PeerFirst+st.WeFirst || perOrigin != st.Open || st.Idle != st.Open:
		return fmt.Sprintf("the ledger does not add up: %+v", st)
	case n[sockstat.Established] != st.Open || len(held) != st.Open:
		return fmt.Sprintf("%d connections, and sockets: %v", st.Open, n)
	}
	return ""
}

// sockets returns those of the callers' side.
func (s *soak) sockets() ([]sockstat.Socket, error) {
	all, err := sockstat.List(sockstat.Filter{PID: os.Getpid()})
	return slices.DeleteFunc(all, func(k sockstat.Socket) bool { return !s.ports[k.Remote.Port()] }), err
}

// A level is what there is while nothing happens.
type level struct {
	descriptors, goroutines int
	inuse, alloc            uint64
}

func measure() (l level, err error) {
	// Twice empties the sync.Pools; the third time is for what their cleanups let go.
	for range 3 {
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	l.descriptors, err = sockstat.Descriptors(os.Getpid())
	l.goroutines, l.inuse, l.alloc = runtime.NumGoroutine(), m.HeapInuse, m.HeapAlloc
	return l, err
}

func (l level) String() string {
	return fmt.Sprintf("%d descriptors, %d goroutines, heap %.1f MiB in use, %.1f MiB alive", l.descriptors, l.goroutines,
		float64(l.inuse)/(1<<20), float64(l.alloc)/(1<<20))
}

// backTo waits until there are no more descriptors and goroutines than at the beginning.
func (s *soak) backTo(begin level) {
	s.t.Helper()
	s.eventually("the end", func() string {
		now, err := measure()
		if err != nil || now.descriptors > begin.descriptors || now.goroutines > begin.goroutines {
			return fmt.Sprintf("%v, in the beginning %v, %v", now, begin, err)
		}
		return ""
	})
}

// flat wants that the heap of the last quarter is what it was after the first one. Half as much again, and 8 MiB, is for the pools of
// buffers, whose spans are in use for some time after they are empty, and for what so many connections leave in the runtime.
func (s *soak) flat(levels []level) {
	quarter := max(1, len(levels)/4)
	worst := func(of []level, by func(level) uint64) (most uint64) {
		for _, l := range of {
			most = max(most, by(l))
		}
		return most
	}
	for what, by := range map[string]func(level) uint64{
		"in use": func(l level) uint64 { return l.inuse }, "alive": func(l level) uint64 { return l.alloc },
	} {
		first, last := worst(levels[:quarter], by), worst(levels[len(levels)-quarter:], by)
		s.t.Logf("heap %s: %.1f MiB in the first quarter, %.1f MiB in the last", what, float64(first)/(1<<20), float64(last)/(1<<20))
		if last > first+first/2+8<<20 {
			s.wrong("the heap grows, what is %s: from %d to %d bytes", what, first, last)
		}
	}
}

// wrong notes a failure. The first ones are told.
func (s *soak) wrong(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.faults = append(s.faults, fmt.Sprintf(format, args...)); len(s.faults) <= 20 {
		s.t.Error(s.faults[len(s.faults)-1])
	}
}

func (s *soak) summary() string {
	st := s.total
	var closes []string
	for why, n := range st.Closes {
		closes = append(closes, fmt.Sprintf("%s %d", why, n))
	}
	slices.Sort(closes)
	return fmt.Sprintf("%d requests, %d failed, %d bodies read to their end, %d MiB; %d bodies dropped, %d found; %d answers of nobody's\n"+
		"%d exchanges, %d reuses, %d retries, %d dials, %d failed; absorbed %d, drained %d, salvaged %d\ncloses: %s",
		s.calls.Load(), s.failures.Load(), s.complete.Load(), s.received.Load()>>20, s.dropped.Load(),
		st.Leaks[transport.Dropped]+st.Leaks[transport.Forgotten]+st.Leaks[transport.HungUp], s.window.Load(),
		st.Requests, st.Reuses, st.Retries, st.Dials, st.DialErrors, st.Absorbed, st.Drained, st.Salvaged, strings.Join(closes, ", "))
}
