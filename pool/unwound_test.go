package pool_test

import (
	"context"
	"io"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/pool"
)

// exits is what a call that exited its goroutine came to.
const exits = "exits"

// unwinds are the ways in which a callback may end, and what whoever called the pool meets then.
var unwinds = map[string]func(){"the caller's": func() { panic("the caller's") }, exits: runtime.Goexit}

// cameTo returns what a call came to: a panic's value, exits, or nil where it returned.
func cameTo(call func()) any {
	came := make(chan any, 1)
	go func() {
		end := any(exits)
		defer func() {
			if p := recover(); p != nil {
				end = p
			}
			came <- end
		}()
		call()
		end = nil
	}()
	return <-came
}

// An OnClose that unwinds its goroutine unwinds that of its caller, and nothing is left undone: each connection is announced once and
// closed, and Close returns.
func TestOnCloseUnwinds(t *testing.T) {
	for name, row := range map[string]struct {
		closes int
		call   func(s *story, l lease)
	}{
		"Discard":         {1, func(_ *story, l lease) { l.Discard("no") }},
		"Release":         {1, func(s *story, l lease) { s.Retire(l.Conn(), "no"); l.Release() }},
		"Retire":          {1, func(s *story, l lease) { l.Release(); s.Retire(l.Conn(), "no") }},
		"CloseIdle":       {3, func(s *story, _ lease) { s.CloseIdle() }},
		"CloseOldestIdle": {3, func(s *story, _ lease) { s.CloseOldestIdle(3) }},
		"Close":           {3, func(s *story, _ lease) { _ = s.Close() }},
		"Shutdown":        {4, func(s *story, l lease) { l.Release(); _ = s.Shutdown(s.Context()) }},
	} {
		for want, unwind := range unwinds {
			t.Run(name+" "+want, func(t *testing.T) {
				var announced atomic.Int32
				tell(t, func(s *story) {
					s.OnClose = func(*conn, pool.Reason, time.Duration) {
						announced.Add(1)
						unwind()
					}
				}, func(s *story) {
					l := s.acquire("a")
					conns, others := []*conn{l.Conn()}, []lease{}
					for range 3 {
						others = append(others, s.acquire("a"))
					}
					for _, other := range others {
						conns = append(conns, other.Conn())
						other.Release()
					}
					assert.Equal(s, want, cameTo(func() { row.call(s, l) }))
					synctest.Wait()
					assert.EqualValues(s, row.closes, announced.Load())
					closes := 0
					for _, c := range conns {
						closes += int(c.closes.Load())
					}
					assert.Equal(s, row.closes, closes)
					unwind = func() {}
				})
			})
		}
	}
}

// A dial that nobody wants any more is done also where OnClose exits the goroutine.
func TestRefusalsUnwind(t *testing.T) {
	refused := new(conn)
	tell(t, func(s *story) {
		s.Dial = func(context.Context, string) (*conn, error) {
			time.Sleep(time.Second)
			return refused, nil
		}
		s.OnClose = func(*conn, pool.Reason, time.Duration) { runtime.Goexit() }
	}, func(s *story) {
		w := s.queue(s.Context(), "a")
		require.NoError(s, s.Close())
		require.True(s, w.isDone())
		assert.ErrorIs(s, w.err, pool.ErrClosed)
		assert.EqualValues(s, 1, refused.closes.Load())
	})
}

// An OnWait that unwinds takes its Acquire out of the queue, and not the others.
func TestOnWaitUnwinds(t *testing.T) {
	for want, unwind := range unwinds {
		t.Run(want, func(t *testing.T) {
			var waits atomic.Int32
			tell(t, func(s *story) {
				s.MaxConnsPerKey = 1
				s.OnWait = func(string) {
					if waits.Add(1) == 1 {
						unwind()
					}
				}
			}, func(s *story) {
				l := s.acquire("a")
				assert.Equal(s, want, cameTo(func() { _, _ = s.Acquire(s.Context(), "a") }))
				assert.Zero(s, s.Total().Waiting)
				w := s.queue(s.Context(), "a")
				l.Release()
				require.True(s, w.isDone())
				w.lease.Release()
				assert.Equal(s, pool.Gauges{Open: 1, Idle: 1}, s.Total())
			})
		})
	}
}

// An Admit that unwinds is a no. Who asked for a lease does not get one, others do.
func TestAdmitUnwinds(t *testing.T) {
	for want, unwind := range unwinds {
		t.Run(want, func(t *testing.T) {
			full := false
			tell(t, func(s *story) {
				s.MaxConnsPerKey = 1
				s.Admit = func(*conn, int) bool {
					if full {
						unwind()
					}
					return !full
				}
			}, func(s *story) {
				l := s.acquire("a")
				full = true
				assert.Equal(s, want, cameTo(func() { s.TryAcquire("a") }))
				w := s.queue(s.Context(), "a")
				second := s.queue(s.Context(), "a")
				assert.Equal(s, want, cameTo(func() { s.Wake(l.Conn()) }))
				full = false
				s.Wake(l.Conn())
				require.True(s, w.isDone() && second.isDone())
				w.lease.Release()
				second.lease.Release()
				l.Release()
				assert.Equal(s, pool.Gauges{Open: 1, Idle: 1}, s.Total())
			})
		})
	}
}

// A Shared that exits the goroutine of a dial means that its connection is for one at a time; one that unwinds that of an Acquire ends it.
func TestSharedUnwinds(t *testing.T) {
	for want, unwind := range unwinds {
		t.Run(want, func(t *testing.T) {
			asked := 0
			tell(t, func(s *story) {
				s.Admit = func(*conn, int) bool { return true }
				s.Shared = func(string) bool {
					switch asked++; asked {
					case 1:
						unwind()
					case 3:
						runtime.Goexit()
					}
					return true
				}
			}, func(s *story) {
				assert.Equal(s, want, cameTo(func() { _, _ = s.Acquire(s.Context(), "a") }))
				l := s.acquire("a")
				assert.Equal(s, pool.Gauges{Open: 1, Leased: 1, Leases: 1}, s.Total())
				_, ok := s.TryAcquire("a")
				assert.False(s, ok)
				l.Release()
			})
		})
	}
}

// A dial that brings what cannot be compared is done also where the Close of that exits the goroutine.
func TestCloseOfWhatCannotBeComparedExits(t *testing.T) {
	p := pool.Pool[string, io.Closer]{Dial: func(context.Context, string) (io.Closer, error) { return exiting{}, nil }}
	_, err := p.Acquire(t.Context(), "a")
	require.ErrorContains(t, err, "cannot be compared")
	require.NoError(t, p.Close())
}

type exiting []int

func (exiting) Close() error { runtime.Goexit(); return nil }
