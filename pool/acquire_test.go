package pool_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/pool"
)

// A released connection is lent again, the most recently used one first.
func TestReuseOfTheMostRecentlyUsed(t *testing.T) {
	tell(t, nil, func(s *story) {
		a, b := s.acquire("k"), s.acquire("k")
		assert.False(s, a.Reused())
		assert.True(s, a.Release())
		time.Sleep(time.Second)
		assert.True(s, b.Release())
		time.Sleep(time.Minute)
		again := s.acquire("k")
		assert.Same(s, b.Conn(), again.Conn())
		assert.True(s, again.Reused())
		assert.Equal(s, time.Minute, again.IdleTime())
		assert.Equal(s, "k", again.Key())
		again.Release()
		s.wantDials(2)
	})
}

// A lease ends once, and one that has ended cannot end the next holder's.
func TestLeaseEndsOnce(t *testing.T) {
	tell(t, nil, func(s *story) {
		first := s.acquire("k")
		assert.True(s, first.Release())
		second := s.acquire("k")
		require.Same(s, first.Conn(), second.Conn())
		assert.False(s, first.Release())
		assert.False(s, first.Discard("late"))
		assert.False(s, first.Hijack())
		assert.Equal(s, 1, s.Stats().Leased)
		assert.True(s, second.Discard("done"))
		assert.False(s, second.Discard("again"))
		s.wantClosed("done", 1)
		var none lease
		assert.False(s, none.Release() || none.Discard("x") || none.Hijack())
		assert.Nil(s, none.Conn())
	})
}

// A waiter takes whichever comes first; a dial that comes later is pooled.
func TestReleaseBeatsADial(t *testing.T) {
	tell(t, func(s *story) { s.gate = make(chan error) }, func(s *story) {
		go func() { s.gate <- nil }()
		held := s.acquire("k")
		w := s.queue(s.Context(), "k")
		assert.False(s, w.isDone())
		held.Release()
		assert.True(s, w.isDone())
		assert.Same(s, held.Conn(), w.lease.Conn())
		s.gate <- nil
		synctest.Wait()
		assert.Equal(s, 1, s.Stats().Idle)
		assert.Zero(s, s.Stats().Dialing)
		w.lease.Release()
		s.wantDials(2)
	})
}

// Waiters under a limit are served in the order in which they came.
func TestWaitersAreServedInOrder(t *testing.T) {
	tell(t, func(s *story) { s.MaxConnsPerKey = 1 }, func(s *story) {
		held := s.acquire("k")
		var ws []*waiting
		for range 5 {
			ws = append(ws, s.queue(s.Context(), "k"))
		}
		assert.Equal(s, 5, s.Stats().Waiting)
		for i, w := range ws {
			held.Release()
			require.True(s, w.isDone(), "waiter %d", i)
			held = w.lease
			for _, later := range ws[i+1:] {
				require.False(s, later.isDone())
			}
		}
		held.Release()
		s.wantDials(1)
	})
}

// A connection that is closed instead of released lets the oldest waiter dial in its place.
func TestAWaiterDialsInTheFreedSlot(t *testing.T) {
	tell(t, func(s *story) { s.MaxConnsPerKey = 1 }, func(s *story) {
		for _, end := range []func(lease){
			func(l lease) { l.Discard("x") },
			func(l lease) { l.Hijack() },
			func(l lease) { s.Retire(l.Conn(), "x"); l.Release() },
		} {
			held := s.acquire("k")
			w := s.queue(s.Context(), "k")
			end(held)
			require.True(s, w.isDone())
			assert.False(s, w.lease.Reused())
			w.lease.Discard("end")
		}
	})
}

// A failed dial's error goes to who asked; the slot goes to the next, who dials anew.
func TestAFailedDialFreesItsSlot(t *testing.T) {
	tell(t, func(s *story) { s.MaxConnsPerKey, s.gate = 1, make(chan error) }, func(s *story) {
		first := s.queue(s.Context(), "k")
		second := s.queue(s.Context(), "k")
		s.gate <- errDial
		require.True(s, first.isDone())
		assert.Equal(s, errDial, first.err)
		assert.False(s, second.isDone())
		s.gate <- nil
		require.True(s, second.isDone())
		second.lease.Release()
		assert.EqualValues(s, 1, s.Stats().DialErrors)
	})
}

// A waiter whose context ends returns its cause and loses nothing: its dial serves the next, and has the context's
// values, not its end.
func TestAbandonedDialIsPooled(t *testing.T) {
	type key struct{}
	got := make(chan any, 1)
	tell(t, func(s *story) {
		s.gate = make(chan error)
		dial := s.Dial
		s.Dial = func(ctx context.Context, k string) (*conn, error) {
			c, err := dial(ctx, k)
			got <- ctx.Value(key{})
			return c, err
		}
	}, func(s *story) {
		cause := errors.New("enough")
		ctx, cancel := context.WithCancelCause(context.WithValue(s.Context(), key{}, "v"))
		w := s.queue(ctx, "k")
		cancel(cause)
		require.True(s, w.isDone())
		assert.Equal(s, cause, w.err)
		s.gate <- nil
		assert.Equal(s, "v", <-got)
		synctest.Wait()
		assert.Equal(s, 1, s.Stats().Idle)
		_, err := s.Acquire(ctx, "k")
		assert.Equal(s, cause, err, "a context that has ended gets nothing")
	})
}

// Of the dials that nobody waits for any more, a few go on and the others are cancelled.
func TestAbandonedDialsAreBounded(t *testing.T) {
	tell(t, func(s *story) { s.gate = make(chan error) }, func(s *story) {
		ctx, cancel := context.WithCancel(s.Context())
		for range 100 {
			s.queue(ctx, "k")
		}
		assert.Equal(s, 100, s.Stats().Dialing)
		cancel()
		synctest.Wait()
		assert.Equal(s, 64, s.Stats().Dialing)
		s.CloseIdle()
		synctest.Wait()
		assert.Zero(s, s.Stats().Dialing)
	})
}

// A dial is bounded by DialTimeout, 30 s by default.
func TestDialTimeout(t *testing.T) {
	tell(t, func(s *story) { s.gate = make(chan error) }, func(s *story) {
		began := time.Now()
		_, err := s.Acquire(s.Context(), "k")
		assert.ErrorIs(s, err, context.DeadlineExceeded)
		assert.Equal(s, 30*time.Second, time.Since(began))
	})
}

// OnWait is called for those, and only those, who queue because of the limit.
func TestOnWait(t *testing.T) {
	var waits []string
	tell(t, func(s *story) {
		s.MaxConnsPerKey = 1
		s.OnWait = func(k string) { waits = append(waits, k) }
	}, func(s *story) {
		held := s.acquire("k")
		assert.Empty(s, waits)
		w := s.queue(s.Context(), "k")
		assert.Equal(s, []string{"k"}, waits)
		held.Release()
		require.True(s, w.isDone())
		w.lease.Release()
	})
	waits = nil
	tell(t, func(s *story) {
		s.MaxConnsPerKey = 1
		s.OnWait = func(k string) { waits = append(waits, k) }
	}, func(s *story) {
		var held lease
		s.Shared = func(string) bool { held.Release(); return false } // after Acquire has looked for idle ones
		held = s.acquire("k")
		s.acquire("k").Release()
		assert.Empty(s, waits)
		s.wantDials(1)
	})
}

// WaitTimeout ends the wait of who queues because of the limit, and of nobody who has a dial of its own, from the beginning or
// since there was room.
func TestWaitTimeout(t *testing.T) {
	var gates map[string]chan error
	tell(t, func(s *story) {
		gates = byName(s)
		s.MaxConnsPerKey, s.WaitTimeout, s.DialTimeout = 1, time.Minute, -1
	}, func(s *story) {
		a := s.queue(s.named("a"), "k")
		time.Sleep(time.Hour)
		gates["a"] <- nil
		require.True(s, a.isDone())
		b := s.queue(s.named("b"), "k")
		time.Sleep(30 * time.Second)
		c := s.queue(s.named("c"), "k")
		time.Sleep(30 * time.Second)
		require.True(s, b.isDone())
		assert.Equal(s, pool.ErrWaitTimeout, b.err)
		a.lease.Discard("to make room")
		time.Sleep(time.Hour)
		assert.False(s, c.isDone())
		gates["c"] <- nil
		require.True(s, c.isDone())
		require.NoError(s, c.err)
		c.lease.Release()
	})
}

// One who waited for a dial that all shared, and whose connection had no room for it, waits because of the limit from then on.
func TestWaitTimeoutAfterASharedDial(t *testing.T) {
	tell(t, func(s *story) {
		upTo(1)(s)
		s.gate = make(chan error)
		s.MaxConnsPerKey, s.WaitTimeout = 1, time.Minute
	}, func(s *story) {
		a, b := s.queue(s.Context(), "k"), s.queue(s.Context(), "k")
		s.gate <- nil
		require.True(s, a.isDone())
		require.False(s, b.isDone())
		time.Sleep(time.Minute)
		require.True(s, b.isDone())
		assert.Equal(s, pool.ErrWaitTimeout, b.err)
		a.lease.Release()
	})
}

// So does one who has but another's dial, an old one, as the limit allows no other.
func TestWaitTimeoutOverAnOldDial(t *testing.T) {
	var gates map[string]chan error
	tell(t, func(s *story) {
		gates = byName(s)
		s.MaxConnsPerKey, s.WaitTimeout, s.DialTimeout = 1, time.Minute, -1
	}, func(s *story) {
		s.leave("a")
		b := s.queue(s.named("b"), "k")
		time.Sleep(time.Minute)
		require.True(s, b.isDone())
		assert.Equal(s, pool.ErrWaitTimeout, b.err)
		gates["a"] <- nil
	})
}

// To lease an idle connection and to release it costs no memory.
func TestLeasingAllocatesNothing(t *testing.T) {
	tell(t, func(s *story) { s.IdleTimeout, s.MaxLifetime = time.Minute, time.Hour }, func(s *story) {
		s.acquire("k").Release()
		assert.Zero(s, testing.AllocsPerRun(100, func() {
			l, _ := s.TryAcquire("k")
			l.Release()
		}))
		assert.Zero(s, testing.AllocsPerRun(100, func() {
			l, _ := s.Acquire(s.Context(), "k")
			l.Release()
		}))
	})
}
