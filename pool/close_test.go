package pool_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/pool"
)

// An idle connection is closed after IdleTimeout, whether or not anybody comes; one in use is not.
func TestIdleTimeout(t *testing.T) {
	tell(t, func(s *story) { s.IdleTimeout = time.Minute }, func(s *story) {
		a, b := s.acquire("a"), s.acquire("b")
		a.Release()
		time.Sleep(40 * time.Second)
		b.Release()
		time.Sleep(20 * time.Second)
		s.wantClosed(pool.IdleTimeout, 1)
		assert.EqualValues(s, 1, a.Conn().closes.Load())
		held := s.acquire("b")
		time.Sleep(time.Hour)
		s.wantClosed(pool.IdleTimeout, 1)
		held.Release()
		time.Sleep(59 * time.Second)
		s.wantClosed(pool.IdleTimeout, 1)
		time.Sleep(time.Second)
		s.wantClosed(pool.IdleTimeout, 2)
		assert.Empty(s, s.Stats().Keys)
	})
}

// A connection whose time is over is not lent, whether or not the timer was there first.
func TestAnExpiredConnectionIsNotLent(t *testing.T) {
	for range 20 {
		tell(t, func(s *story) { s.IdleTimeout = time.Minute }, func(s *story) {
			s.acquire("k").Release()
			time.Sleep(time.Minute)
			_, ok := s.TryAcquire("k")
			assert.False(s, ok)
			s.wantClosed(pool.IdleTimeout, 1)
		})
	}
}

// An earlier deadline than the one that the timer is set for is kept, too.
func TestAnEarlierDeadline(t *testing.T) {
	tell(t, func(s *story) { s.IdleTimeout, s.MaxLifetime = time.Minute, 70*time.Second }, func(s *story) {
		old := s.acquire("k")
		time.Sleep(30 * time.Second)
		s.acquire("other").Release()
		old.Release()
		time.Sleep(40 * time.Second)
		s.wantClosed(pool.Lifetime, 1)
		time.Sleep(20 * time.Second)
		s.wantClosed(pool.IdleTimeout, 1)
	})
}

// An IdleTimeout without end is none, and does not hide the end of a lifetime.
func TestIdleTimeoutWithoutEnd(t *testing.T) {
	tell(t, func(s *story) { s.IdleTimeout, s.MaxLifetime = math.MaxInt64, time.Minute }, func(s *story) {
		assert.True(s, s.acquire("k").Release())
		time.Sleep(time.Second)
		assert.True(s, s.acquire("k").Release())
		time.Sleep(time.Minute)
		s.wantClosed(pool.Lifetime, 1)
	})
}

// A MaxLifetime that reaches beyond the end of time is none.
func TestMaxLifetimeWithoutEnd(t *testing.T) {
	tell(t, func(s *story) { s.MaxLifetime = math.MaxInt64 }, func(s *story) {
		s.acquire("early").Release()
		time.Sleep(100 * 365 * 24 * time.Hour)
		assert.True(s, s.acquire("late").Release())
		assert.True(s, s.acquire("early").Release())
	})
}

// A connection past MaxLifetime is closed when idle, and on its release; the lifetimes are spread.
func TestMaxLifetime(t *testing.T) {
	tell(t, func(s *story) { s.MaxLifetime = 100 * time.Second }, func(s *story) {
		held := s.acquire("held")
		var leases []lease
		for i := range 50 {
			leases = append(leases, s.acquire(fmt.Sprint(i)))
		}
		for _, l := range leases {
			l.Release()
		}
		time.Sleep(90*time.Second - 1)
		s.wantClosed(pool.Lifetime, 0)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		some := s.Stats().Closes[pool.Lifetime]
		assert.Greater(s, some, int64(5))
		assert.Less(s, some, int64(45))
		time.Sleep(5*time.Second + 1)
		s.wantClosed(pool.Lifetime, 50)
		assert.False(s, held.Release())
		s.wantClosed(pool.Lifetime, 51)

		held = s.acquire("held")
		time.Sleep(100 * time.Second)
		assert.False(s, held.Release(), "no timer was needed")
		s.wantClosed(pool.Lifetime, 52)
	})
}

// A shared connection that is too old is not lent to more, and closed when the others have ended.
func TestMaxLifetimeOfASharedConnection(t *testing.T) {
	tell(t, func(s *story) { upTo(9)(s); s.MaxLifetime = time.Minute }, func(s *story) {
		a := s.acquire("k")
		time.Sleep(30 * time.Second)
		s.acquire("other").Release()
		time.Sleep(time.Minute)
		s.wantClosed(pool.Lifetime, 1)
		assert.Equal(s, pool.Lifetime, s.Conns("k")[0].Retired)
		b := s.acquire("k")
		assert.NotSame(s, a.Conn(), b.Conn())
		a.Release()
		s.wantClosed(pool.Lifetime, 2)
		time.Sleep(time.Minute)
		c := s.acquire("k")
		assert.NotSame(s, b.Conn(), c.Conn(), "no timer was needed")
		b.Release()
		c.Release()
	})
}

// MaxIdle evicts the least recently used connection of all keys, MaxIdlePerKey that of its key; negative keeps none.
func TestEviction(t *testing.T) {
	tell(t, func(s *story) { s.MaxIdle = 2 }, func(s *story) {
		a, b, c := s.acquire("a"), s.acquire("b"), s.acquire("c")
		for _, l := range []lease{b, a, c} {
			assert.True(s, l.Release())
		}
		s.wantClosed(pool.Evicted, 1)
		assert.EqualValues(s, 1, b.Conn().closes.Load())
	})
	tell(t, func(s *story) { s.MaxIdlePerKey = 1 }, func(s *story) {
		a, b, other := s.acquire("k"), s.acquire("k"), s.acquire("other")
		other.Release()
		a.Release()
		b.Release()
		s.wantClosed(pool.Evicted, 1)
		assert.EqualValues(s, 1, a.Conn().closes.Load())
	})
	tell(t, func(s *story) { s.MaxIdlePerKey = -1 }, func(s *story) {
		assert.False(s, s.acquire("k").Release())
		s.wantClosed(pool.Evicted, 1)
	})
}

// Retire closes an idle connection at once and a leased one at its end; it is never lent again. OnOpen may retire
// already.
func TestRetire(t *testing.T) {
	tell(t, nil, func(s *story) {
		a, b := s.acquire("k"), s.acquire("k")
		a.Release()
		s.Retire(a.Conn(), "gone")
		s.Retire(a.Conn(), "gone twice")
		s.Retire(b.Conn(), "gone")
		s.Retire(&conn{}, "unknown")
		s.wantClosed("gone", 1)
		assert.False(s, b.Release())
		s.wantClosed("gone", 2)
		assert.Empty(s, s.Stats().Keys)
	})
	tell(t, func(s *story) {
		s.MaxConnsPerKey = 1
		s.OnOpen = func(c *conn) {
			if c.number == 1 {
				s.Retire(c, "early")
			}
		}
	}, func(s *story) {
		_, err := s.Acquire(s.Context(), "k")
		var retired *pool.RetiredError
		require.ErrorAs(s, err, &retired)
		assert.EqualValues(s, "early", retired.Reason)
		assert.EqualValues(s, 1, retired.Conn.(*conn).number)
		s.wantClosed("early", 1)
		l := s.acquire("k")
		assert.EqualValues(s, 2, l.Conn().number)
		l.Release()
	})
}

// Who is told of a connection that was retired before its first lease can ask it what OnClose has learnt of it.
func TestRetiredErrorComesAfterOnClose(t *testing.T) {
	told := false
	tell(t, func(s *story) {
		s.OnOpen = func(c *conn) { s.Retire(c, "early") }
		s.OnClose = func(*conn, pool.Reason, time.Duration) {
			time.Sleep(time.Second)
			told = true
		}
	}, func(s *story) {
		_, err := s.Acquire(s.Context(), "k")
		var retired *pool.RetiredError
		require.ErrorAs(s, err, &retired)
		assert.True(s, told)
	})
}

// One Close that hangs delays nobody who acquires, releases or retires, and CloseIdle and Close wait for it.
func TestASlowCloseDelaysNobody(t *testing.T) {
	tell(t, func(s *story) { s.MaxConnsPerKey = 1 }, func(s *story) {
		slow := s.acquire("slow")
		slow.Conn().hang = make(chan struct{})
		time.AfterFunc(3*time.Second, func() { close(slow.Conn().hang) })
		began := time.Now()
		slow.Discard("x")
		s.acquire("slow").Release()
		s.acquire("other").Release()
		assert.Zero(s, time.Since(began))
		require.NoError(s, s.Close())
		assert.Equal(s, 3*time.Second, time.Since(began))
	})
}

// CloseIdle closes what is idle, and what is in use when it is released, until somebody acquires again.
func TestCloseIdle(t *testing.T) {
	tell(t, nil, func(s *story) {
		a, b, c := s.acquire("k"), s.acquire("k"), s.acquire("k")
		a.Release()
		s.CloseIdle()
		assert.EqualValues(s, 1, a.Conn().closes.Load())
		assert.False(s, b.Release())
		s.wantClosed(pool.IdleClosed, 2)
		s.acquire("other").Release()
		assert.True(s, c.Release())
	})
}

// CloseOldestIdle closes those that have been idle longest.
func TestCloseOldestIdle(t *testing.T) {
	tell(t, nil, func(s *story) {
		a, b, c := s.acquire("a"), s.acquire("b"), s.acquire("c")
		b.Release()
		a.Release()
		c.Release()
		assert.Equal(s, 2, s.CloseOldestIdle(2))
		assert.EqualValues(s, 0, c.Conn().closes.Load())
		assert.Equal(s, 1, s.CloseOldestIdle(5))
	})
}

// Close fails those who wait, now and later, cancels dials, and lets leases run on.
func TestClose(t *testing.T) {
	tell(t, func(s *story) { s.gate = make(chan error, 1) }, func(s *story) {
		s.gate <- nil
		held := s.acquire("k")
		w := s.queue(s.Context(), "k")
		require.NoError(s, s.Close())
		require.True(s, w.isDone())
		assert.ErrorIs(s, w.err, pool.ErrClosed)
		_, err := s.Acquire(s.Context(), "k")
		assert.ErrorIs(s, err, pool.ErrClosed)
		_, ok := s.TryAcquire("k")
		assert.False(s, ok)
		assert.Zero(s, held.Conn().closes.Load())
		assert.False(s, held.Release())
		s.wantClosed(pool.Closed, 1)
		require.NoError(s, s.Close())
	})
}

// Shutdown waits for the leases, or for its context.
func TestShutdown(t *testing.T) {
	tell(t, nil, func(s *story) {
		held := s.acquire("k")
		enough := errors.New("enough")
		ctx, cancel := context.WithTimeoutCause(s.Context(), time.Second, enough)
		defer cancel()
		assert.Equal(s, enough, s.Shutdown(ctx))
		began := time.Now()
		time.AfterFunc(time.Minute, func() { held.Release() })
		assert.NoError(s, s.Shutdown(s.Context()))
		assert.Equal(s, time.Minute, time.Since(began))
	})
}
