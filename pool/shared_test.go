package pool_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/pool"
)

// upTo sets a story's connections to be shared by n.
func upTo(n int) func(*story) {
	return func(s *story) {
		s.Shared = func(string) bool { return true }
		s.Admit = func(_ *conn, leases int) bool { return leases <= n }
	}
}

// Those who come while a connection is dialed wait for it and share it.
func TestOneDialServesAllWhoWait(t *testing.T) {
	tell(t, func(s *story) { upTo(100)(s); s.gate = make(chan error) }, func(s *story) {
		var ws []*waiting
		for range 10 {
			ws = append(ws, s.queue(s.Context(), "k"))
		}
		assert.Equal(s, pool.Gauges{Dialing: 1, Waiting: 10}, s.Stats().Gauges)
		s.gate <- nil
		for i, w := range ws {
			require.True(s, w.isDone())
			assert.Same(s, ws[0].lease.Conn(), w.lease.Conn())
			assert.Equal(s, i > 0, w.lease.Reused())
		}
		l, ok := s.TryAcquire("k")
		require.True(s, ok)
		assert.Equal(s, pool.Gauges{Open: 1, Leased: 1, Leases: 11}, s.Stats().Gauges)
		l.Release()
		for _, w := range ws {
			assert.True(s, w.lease.Release())
			assert.False(s, w.lease.Release())
		}
		assert.Equal(s, pool.Gauges{Open: 1, Idle: 1}, s.Stats().Gauges)
		s.wantDials(1)
	})
}

// The error of the only dial is that of all who wait for it; the next one dials anew.
func TestASharedDialsErrorReachesAll(t *testing.T) {
	tell(t, func(s *story) { upTo(100)(s); s.gate = make(chan error) }, func(s *story) {
		a, b := s.queue(s.Context(), "k"), s.queue(s.Context(), "k")
		s.gate <- errDial
		require.True(s, a.isDone() && b.isDone())
		assert.Equal(s, errDial, a.err)
		assert.Equal(s, errDial, b.err)
		c := s.queue(s.Context(), "k")
		s.gate <- nil
		require.True(s, c.isDone())
		require.NoError(s, c.err)
		c.lease.Release()
	})
}

// The dial of one who leaves goes on for the others.
func TestASharedDialOutlivesWhoAsked(t *testing.T) {
	tell(t, func(s *story) { upTo(100)(s); s.gate = make(chan error) }, func(s *story) {
		ctx, cancel := context.WithCancel(s.Context())
		a, b := s.queue(ctx, "k"), s.queue(s.Context(), "k")
		cancel()
		require.True(s, a.isDone())
		s.gate <- nil
		require.True(s, b.isDone())
		require.NoError(s, b.err)
		b.lease.Release()
		s.wantDials(1)
	})
}

// A shared dial that was cancelled serves nobody, even if it takes its time; the next one is again one for all.
func TestASharedDialAfterACancelledOne(t *testing.T) {
	tell(t, func(s *story) { upTo(2)(s); s.gate = make(chan error); s.MaxIdlePerKey = -1 }, func(s *story) {
		held := s.queueMany(2)
		s.gate <- nil
		require.True(s, held[0].isDone() && held[1].isDone())
		s.deaf.Store(true)
		ctx, cancel := context.WithCancel(s.Context())
		w := s.queue(ctx, "k")
		cancel()
		require.True(s, w.isDone())
		s.deaf.Store(false)
		a, b := s.queue(s.Context(), "k"), s.queue(s.Context(), "k")
		assert.Equal(s, 2, s.Stats().Dialing)
		s.gate <- errDial // for the cancelled one, which came first
		assert.False(s, a.isDone() || b.isDone())
		assert.Equal(s, 1, s.Stats().Dialing)
		s.gate <- nil
		for _, w := range append(held, a, b) {
			require.True(s, w.isDone())
			w.lease.Release()
		}
	})
}

// A full connection makes the next one dial, or wait where the limit forbids that.
func TestFullConnections(t *testing.T) {
	tell(t, func(s *story) { upTo(2)(s); s.MaxConnsPerKey = 2 }, func(s *story) {
		var ls []lease
		for range 4 {
			ls = append(ls, s.acquire("k"))
		}
		s.wantDials(2)
		_, ok := s.TryAcquire("k")
		assert.False(s, ok)
		a, b := s.queue(s.Context(), "k"), s.queue(s.Context(), "k")
		assert.False(s, a.isDone() || b.isDone())
		ls[0].Release()
		require.True(s, a.isDone())
		assert.False(s, b.isDone())
		ls[3].Release()
		require.True(s, b.isDone())
		for _, l := range append(ls, a.lease, b.lease) {
			l.Release()
		}
		assert.Equal(s, pool.Gauges{Open: 2, Idle: 2}, s.Stats().Gauges)
	})
}

// A connection that was full is idle and lent again like any other.
func TestAFullConnectionBecomesIdle(t *testing.T) {
	tell(t, func(s *story) { upTo(2)(s); s.MaxConnsPerKey = 1 }, func(s *story) {
		for range 3 {
			a, b := s.acquire("k"), s.acquire("k")
			_, ok := s.TryAcquire("k")
			assert.False(s, ok)
			a.Release()
			c := s.acquire("k")
			w := s.queue(s.Context(), "k")
			assert.False(s, w.isDone())
			b.Release()
			require.True(s, w.isDone())
			c.Release()
			w.lease.Release()
			assert.Equal(s, pool.Gauges{Open: 1, Idle: 1}, s.Stats().Gauges)
		}
		s.wantDials(1)
	})
	tell(t, func(s *story) { upTo(1)(s); s.MaxConnsPerKey = 1 }, func(s *story) {
		for range 3 {
			l := s.acquire("k")
			s.Wake(l.Conn())
			w := s.queue(s.Context(), "k")
			assert.False(s, w.isDone())
			l.Release()
			require.True(s, w.isDone())
			_, ok := s.TryAcquire("k")
			assert.False(s, ok)
			w.lease.Release()
		}
		s.wantDials(1)
	})
}

// Who comes while the oldest waiter is about to be admitted does not overtake it.
func TestTryAcquireOvertakesNobody(t *testing.T) {
	full, tried := true, false
	tell(t, func(s *story) {
		s.MaxConnsPerKey = 1
		s.Admit = func(*conn, int) bool {
			if !full && !tried {
				tried = true
				_, ok := s.TryAcquire("k")
				assert.False(s, ok)
			}
			return !full
		}
	}, func(s *story) {
		held := s.acquire("k")
		w := s.queue(s.Context(), "k")
		full = false
		s.Wake(held.Conn())
		require.True(s, w.isDone())
		assert.True(s, tried)
		held.Release()
		w.lease.Release()
	})
}

// The end of the only lease has Admit asked again, for everybody who waits.
func TestALeasesEndMakesRoom(t *testing.T) {
	most := 1
	tell(t, func(s *story) {
		upTo(0)(s)
		s.MaxConnsPerKey = 1
		s.Admit = func(_ *conn, leases int) bool { return leases <= most }
	}, func(s *story) {
		held := s.acquire("k")
		a, b, c := s.queue(s.Context(), "k"), s.queue(s.Context(), "k"), s.queue(s.Context(), "k")
		most = 2
		held.Release()
		assert.True(s, a.isDone() && b.isDone())
		assert.False(s, c.isDone())
		a.lease.Release()
		assert.True(s, c.isDone())
		b.lease.Release()
		c.lease.Release()
	})
}

// Wake has Admit asked again: the peer allows more now.
func TestWake(t *testing.T) {
	most := 1
	tell(t, func(s *story) {
		upTo(0)(s)
		s.MaxConnsPerKey = 1
		s.Admit = func(_ *conn, leases int) bool { return leases <= most }
	}, func(s *story) {
		held := s.acquire("k")
		a, b := s.queue(s.Context(), "k"), s.queue(s.Context(), "k")
		s.Wake(held.Conn())
		assert.False(s, a.isDone())
		most = 2
		s.Wake(held.Conn())
		assert.True(s, a.isDone())
		assert.False(s, b.isDone())
		most = 3
		s.Wake(&conn{}) // unknown
		assert.False(s, b.isDone())
		s.Wake(held.Conn())
		assert.True(s, b.isDone())
		for _, l := range []lease{held, a.lease, b.lease} {
			assert.True(s, l.Release())
		}
		s.Wake(held.Conn()) // idle
		assert.Equal(s, 1, s.Stats().Idle)
	})
}

// A lease that is discarded ends alone; the connection takes no more, and is closed after the others.
func TestDiscardOfASharedConnection(t *testing.T) {
	tell(t, upTo(2), func(s *story) {
		a, b := s.acquire("k"), s.acquire("k")
		require.Same(s, a.Conn(), b.Conn())
		assert.True(s, a.Discard("broken"))
		s.wantClosed("broken", 0)
		c := s.acquire("k")
		assert.NotSame(s, a.Conn(), c.Conn())
		assert.False(s, b.Release())
		s.wantClosed("broken", 1)
		c.Release()
	})
}

// A connection that others use cannot be hijacked; one that others merely ask for can.
func TestHijackOfASharedConnection(t *testing.T) {
	tell(t, upTo(2), func(s *story) {
		a, b := s.acquire("k"), s.acquire("k")
		assert.False(s, a.Hijack())
		assert.True(s, a.Release())
		assert.True(s, b.Hijack())
		assert.EqualValues(s, 1, s.Stats().Hijacks)
		assert.Zero(s, b.Conn().closes.Load())
	})
	var held lease
	tell(t, func(s *story) {
		s.Admit = func(*conn, int) bool { return held.Hijack() }
	}, func(s *story) {
		held = s.acquire("k")
		other := s.acquire("k")
		assert.NotSame(s, held.Conn(), other.Conn(), "it was gone when Admit said yes")
		other.Release()
	})
}

// A connection in use is neither idle nor evicted, however many lease it.
func TestASharedConnectionIsIdleAfterItsLastLease(t *testing.T) {
	tell(t, func(s *story) { upTo(9)(s); s.IdleTimeout = time.Minute; s.MaxIdle = 1 }, func(s *story) {
		a, b := s.acquire("k"), s.acquire("k")
		other := s.acquire("other")
		a.Release()
		other.Release()
		time.Sleep(time.Hour)
		s.wantClosed(pool.IdleTimeout, 1)
		assert.Zero(s, b.Conn().closes.Load())
		b.Release()
		time.Sleep(time.Minute)
		s.wantClosed(pool.IdleTimeout, 2)
		s.acquire("k").Release()
		s.wantDials(3)
	})
}

// When a lease ends while Admit says no, Admit is asked again: its answer was about another moment.
func TestANoThatIsOutdated(t *testing.T) {
	var asked []int
	var b lease
	tell(t, func(s *story) {
		s.MaxConnsPerKey = 1
		s.Shared = func(string) bool { return true }
		s.Admit = func(_ *conn, leases int) bool {
			asked = append(asked, leases)
			if leases == 3 {
				b.Release()
			}
			return leases < 3
		}
	}, func(s *story) {
		a := s.acquire("k")
		b = s.acquire("k")
		c := s.acquire("k")
		assert.Equal(s, []int{2, 3, 2}, asked)
		a.Release()
		c.Release()
	})
}

// A connection that is retired while Admit says yes is not lent.
func TestAYesThatIsOutdated(t *testing.T) {
	tell(t, nil, func(s *story) {
		s.Admit = func(c *conn, _ int) bool {
			s.Retire(c, "gone")
			return true
		}
		a := s.acquire("k")
		b := s.acquire("k")
		assert.NotSame(s, a.Conn(), b.Conn())
		a.Release()
		b.Release()
		s.wantClosed("gone", 1)
	})
}

// When the dial shows that the connections of a key are not multiplexed, everybody who waits gets a dial.
func TestSharedChangesItsMind(t *testing.T) {
	tell(t, func(s *story) { s.gate = make(chan error) }, func(s *story) {
		var known atomic.Bool
		s.Shared = func(string) bool { return !known.Load() }
		s.OnOpen = func(*conn) { known.Store(true) }
		var ws []*waiting
		for range 5 {
			ws = append(ws, s.queue(s.Context(), "k"))
		}
		s.wantDials(1)
		s.gate <- nil
		synctest.Wait()
		s.wantDials(5)
		for range 4 {
			s.gate <- nil
		}
		for _, w := range ws {
			require.True(s, w.isDone())
			w.lease.Release()
		}
		assert.Equal(s, 5, s.Stats().Idle)
	})
}

// What waits for a shared dial does not wait for the limit.
func TestOnWaitIsNotCalledForASharedDial(t *testing.T) {
	waits := 0
	tell(t, func(s *story) {
		upTo(2)(s)
		s.MaxConnsPerKey, s.gate = 1, make(chan error)
		s.OnWait = func(string) { waits++ }
	}, func(s *story) {
		a, b := s.queue(s.Context(), "k"), s.queue(s.Context(), "k")
		assert.Zero(s, waits)
		s.gate <- nil
		require.True(s, a.isDone() && b.isDone())
		ctx, cancel := context.WithCancelCause(s.Context())
		c := s.queue(ctx, "k")
		assert.Equal(s, 1, waits)
		cancel(errors.New("enough"))
		require.True(s, c.isDone())
		assert.EqualError(s, c.err, "enough")
		a.lease.Release()
		b.lease.Release()
	})
}

// Where Shared says that nothing is multiplexed, nobody asks whether it may be.
func TestAdmitIsNotAskedInVain(t *testing.T) {
	var asked atomic.Int64
	tell(t, func(s *story) {
		s.Shared = func(key string) bool { return key == "shared" }
		s.Admit = func(*conn, int) bool { asked.Add(1); return true }
	}, func(s *story) {
		for _, key := range []string{"alone", "shared"} {
			a := s.queue(s.Context(), key)
			synctest.Wait()
			b := s.queue(s.Context(), key)
			synctest.Wait()
			require.True(s, a.isDone() && b.isDone())
			assert.Equal(s, key == "shared", a.lease.Conn() == b.lease.Conn())
			assert.Equal(s, key == "shared", asked.Load() > 0)
			a.lease.Release()
			b.lease.Release()
		}
	})
}

// A connection is shared, or not, as its key was when it was dialed, whatever others of the key are: servers behind one name may differ.
func TestKeyWithConnectionsOfBothKinds(t *testing.T) {
	var shared atomic.Bool
	tell(t, func(s *story) {
		upTo(2)(s)
		s.MaxConnsPerKey = 3
		s.Shared = func(string) bool { return shared.Load() }
	}, func(s *story) {
		alone := []lease{s.acquire("k"), s.acquire("k"), s.acquire("k")}
		shared.Store(true)
		waits := s.queue(s.Context(), "k")
		assert.False(s, waits.isDone(), "at the limit, and nobody shares")
		alone[2].Discard("failed")
		require.True(s, waits.isDone())
		second := s.acquire("k")
		assert.Same(s, waits.lease.Conn(), second.Conn())
		alone[1].Discard("failed")
		shared.Store(false)
		third := s.acquire("k")
		assert.NotSame(s, second.Conn(), third.Conn())
		waits.lease.Release()
		second.Release()
		first, also := s.acquire("k"), s.acquire("k")
		assert.Same(s, first.Conn(), second.Conn())
		assert.Same(s, first.Conn(), also.Conn())
		s.wantDials(5)
		for _, l := range []lease{alone[0], third, first, also} {
			l.Release()
		}
	})
}
