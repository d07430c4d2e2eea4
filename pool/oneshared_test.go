package pool_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/pool"
)

// oneUpTo sets a story's connections to be shared by n, and to be one for each key. It returns how often OnWait was called.
func oneUpTo(n int) (set func(*story), waits *int) {
	waits = new(int)
	return func(s *story) {
		upTo(n)(s)
		s.OneShared = true
		s.OnWait = func(string) { *waits++ }
	}, waits
}

// Who finds the one connection full waits for it, as if there were a limit: in turn, told of by OnWait, and bounded by WaitTimeout.
func TestOneSharedConnectionIsWaitedFor(t *testing.T) {
	set, waits := oneUpTo(2)
	tell(t, func(s *story) { set(s); s.WaitTimeout = time.Minute }, func(s *story) {
		a, b := s.acquire("k"), s.acquire("k")
		assert.Zero(s, *waits)
		c, d := s.queue(s.Context(), "k"), s.queue(s.Context(), "k")
		assert.False(s, c.isDone() || d.isDone())
		assert.Equal(s, 2, *waits)
		a.Release()
		require.True(s, c.isDone())
		assert.False(s, d.isDone())
		time.Sleep(time.Minute)
		require.True(s, d.isDone())
		assert.Equal(s, pool.ErrWaitTimeout, d.err)
		b.Release()
		c.lease.Release()
		s.wantDials(1)
		assert.Equal(s, pool.Gauges{Open: 1, Idle: 1}, s.Stats().Gauges)
	})
}

// A connection that is retired is not waited for: the next one is dialed while its leases go on.
func TestOneSharedConnectionIsReplaced(t *testing.T) {
	set, _ := oneUpTo(2)
	tell(t, set, func(s *story) {
		a, b := s.acquire("k"), s.acquire("k")
		w := s.queue(s.Context(), "k")
		assert.False(s, w.isDone())
		s.Retire(a.Conn(), "going away")
		require.True(s, w.isDone())
		assert.NotSame(s, a.Conn(), w.lease.Conn())
		x := s.acquire("k")
		y := s.queue(s.Context(), "k")
		a.Release()
		b.Release()
		s.wantClosed("going away", 1)
		assert.False(s, y.isDone(), "there is one still")
		x.Release()
		require.True(s, y.isDone())
		s.wantDials(2)
		y.lease.Discard("failed") // while it is shared
		z := s.queue(s.Context(), "k")
		require.True(s, z.isDone())
		s.wantDials(3)
		w.lease.Release()
		z.lease.Release()
	})
}

// So is one whose lifetime had ended before it was lent.
func TestOneSharedConnectionThatIsTooOld(t *testing.T) {
	set, _ := oneUpTo(1)
	tell(t, func(s *story) {
		set(s)
		s.MaxLifetime = time.Second
		s.OnOpen = func(c *conn) {
			if c.key == "k" && s.closed[pool.Lifetime] == 0 {
				time.Sleep(2 * time.Second)
			}
		}
	}, func(s *story) {
		w := s.queue(s.Context(), "k")
		time.Sleep(200 * time.Millisecond)
		assert.True(s, s.acquire("other").Release()) // the timer of this one retires the other
		time.Sleep(2 * time.Second)
		require.True(s, w.isDone())
		next := s.queue(s.Context(), "k")
		last := s.queue(s.Context(), "k")
		assert.False(s, w.lease.Release())
		require.True(s, next.isDone(), "another is dialed")
		next.lease.Release()
		require.True(s, last.isDone())
		last.lease.Release()
	})
}

// Who waits for one that becomes too old meanwhile gets another then, whether or not anything else happens.
func TestOneSharedConnectionThatBecomesTooOld(t *testing.T) {
	for name, other := range map[string]bool{"alone": false, "beside an idle one": true} {
		t.Run(name, func(t *testing.T) {
			set, _ := oneUpTo(1)
			tell(t, func(s *story) { set(s); s.MaxLifetime = time.Minute; s.WaitTimeout = time.Hour }, func(s *story) {
				held := s.acquire("k")
				if other {
					time.Sleep(10 * time.Second)
					assert.True(s, s.acquire("other").Release())
				}
				w := s.queue(s.Context(), "k")
				assert.False(s, w.isDone())
				time.Sleep(time.Minute)
				assert.Equal(s, pool.Lifetime, s.Conns("k")[0].Retired)
				require.True(s, w.isDone(), "another is dialed")
				assert.NotSame(s, held.Conn(), w.lease.Conn())
				held.Release()
				w.lease.Release()
			})
		})
	}
}

// Who waited for a dial with others, and finds the connection full, is told of as well, each once. So it is with a limit.
func TestWaitAfterASharedDial(t *testing.T) {
	for name, limit := range map[string]func(*story){
		"OneShared":      func(s *story) { s.OneShared = true },
		"MaxConnsPerKey": func(s *story) { s.MaxConnsPerKey = 1 },
	} {
		t.Run(name, func(t *testing.T) {
			waits := 0
			tell(t, func(s *story) {
				upTo(2)(s)
				limit(s)
				s.gate = make(chan error)
				s.OnWait = func(string) { waits++ }
			}, func(s *story) {
				var ws []*waiting
				for range 4 {
					ws = append(ws, s.queue(s.Context(), "k"))
				}
				assert.Zero(s, waits)
				s.gate <- nil
				require.True(s, ws[0].isDone() && ws[1].isDone())
				assert.False(s, ws[2].isDone() || ws[3].isDone())
				assert.Equal(s, 2, waits)
				ws = append(ws, s.queue(s.Context(), "k"))
				assert.Equal(s, 3, waits)
				for _, w := range ws {
					require.True(s, w.isDone())
					w.lease.Release()
				}
				s.wantDials(1)
			})
		})
	}
}

// Keys whose connections are not multiplexed have as many as they need.
func TestOneSharedIsAboutSharedConnections(t *testing.T) {
	set, waits := oneUpTo(1)
	tell(t, func(s *story) { set(s); s.Shared = func(string) bool { return false } }, func(s *story) {
		for _, l := range []lease{s.acquire("k"), s.acquire("k")} {
			l.Release()
		}
		s.wantDials(2)
		assert.Zero(s, *waits)
	})
}

// An origin may change its mind: connections that were opened before are no reason to wait for one that can be shared, or to do without
// another when that is retired.
func TestOneSharedAfterOthers(t *testing.T) {
	set, waits := oneUpTo(1)
	var shared atomic.Bool
	tell(t, func(s *story) { set(s); s.Shared = func(string) bool { return shared.Load() } }, func(s *story) {
		a, b := s.acquire("k"), s.acquire("k")
		shared.Store(true)
		c := s.queue(s.Context(), "k")
		require.True(s, c.isDone(), "it waits for connections that nobody shares")
		s.wantDials(3)
		d := s.queue(s.Context(), "k")
		assert.False(s, d.isDone())
		assert.Equal(s, 1, *waits)
		s.Retire(c.lease.Conn(), "going away")
		require.True(s, d.isDone())
		s.wantDials(4)
		for _, l := range []lease{a, b, c.lease, d.lease} {
			l.Release()
		}
		assert.Equal(s, 3, s.Stats().Idle)
	})
}

// So is who waited for a dial that failed, and finds that the connections are not multiplexed after all and too many.
func TestWaitAfterAFailedDial(t *testing.T) {
	var shared atomic.Bool
	waits := 0
	tell(t, func(s *story) {
		s.MaxConnsPerKey, s.gate = 1, make(chan error)
		s.Shared = func(string) bool { return shared.Load() }
		s.OnWait = func(string) { waits++ }
	}, func(s *story) {
		first := s.queue(s.Context(), "k")
		shared.Store(true)
		ws := []*waiting{s.queue(s.Context(), "k"), s.queue(s.Context(), "k")}
		assert.Zero(s, waits, "they wait for the dial")
		shared.Store(false)
		ws = append(ws, s.queue(s.Context(), "k"))
		assert.Equal(s, 1, waits)
		s.gate <- errDial
		require.True(s, first.isDone())
		assert.Equal(s, errDial, first.err)
		assert.Equal(s, 2, waits, "the second waits for the dial of the first")
		s.gate <- nil
		for _, w := range ws {
			require.True(s, w.isDone())
			w.lease.Release()
		}
		assert.Equal(s, 2, waits)
	})
}
