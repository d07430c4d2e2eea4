package pool_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/pool"
)

// A multiplexed connection that is retired may have leases that never end. So it counts no more for MaxConnsPerKey: whoever waits gets
// another at once, and the limit holds for those that are lent.
func TestRetiredSharedConnectionsCountNoMore(t *testing.T) {
	tell(t, func(s *story) { upTo(2)(s); s.MaxConnsPerKey = 1 }, func(s *story) {
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
		assert.False(s, y.isDone(), "one that is gone does not count twice")
		w.lease.Discard("failed") // while it is shared
		require.True(s, y.isDone())
		s.wantDials(3)
		x.Release()
		y.lease.Release()
		assert.Equal(s, pool.Gauges{Open: 1, Idle: 1}, s.Stats().Gauges)
	})
}

// So it is with one that becomes too old while somebody waits, whether or not anything else happens, and with one that was too old when
// it was lent.
func TestSharedConnectionsThatAreTooOldCountNoMore(t *testing.T) {
	for name, before := range map[string]bool{"meanwhile": false, "before it was lent": true} {
		t.Run(name, func(t *testing.T) {
			tell(t, func(s *story) {
				upTo(1)(s)
				s.MaxConnsPerKey, s.MaxLifetime = 1, time.Minute
				if before {
					s.OnOpen = func(*conn) {
						if s.closed[pool.Lifetime] == 0 && len(s.Conns("k")) == 0 {
							time.Sleep(2 * time.Minute)
						}
					}
				}
			}, func(s *story) {
				first := s.queue(s.Context(), "k")
				time.Sleep(3 * time.Minute)
				require.True(s, first.isDone())
				w := s.queue(s.Context(), "k")
				time.Sleep(2 * time.Minute)
				require.True(s, w.isDone(), "another is dialed")
				assert.NotSame(s, first.lease.Conn(), w.lease.Conn())
				first.lease.Release()
				w.lease.Release()
			})
		})
	}
}

// One whose connections are lent to one at a time counts for as long as it is leased.
func TestRetiredConnectionsCount(t *testing.T) {
	tell(t, func(s *story) { s.MaxConnsPerKey = 1 }, func(s *story) {
		a := s.acquire("k")
		s.Retire(a.Conn(), "going away")
		w := s.queue(s.Context(), "k")
		assert.False(s, w.isDone())
		a.Release()
		require.True(s, w.isDone())
		w.lease.Release()
	})
}
