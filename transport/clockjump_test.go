package transport_test

import (
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/internal/memnet"
	"github.com/watertight-go/watertight/pool"
	"github.com/watertight-go/watertight/transport"
)

// jumpy gives a transport a clock on the wall that jumps by what its test adds.
func jumpy(tr *transport.Transport) *atomic.Int64 {
	jump := new(atomic.Int64)
	tr.SetWallClock(func() time.Time { return time.Now().Add(time.Duration(jump.Load())) })
	return jump
}

// A machine that was suspended for longer than its server keeps connections sends nothing on them that cannot be repeated, though its
// timers think that no time has passed.
func TestSuspendedPastTheServersPromise(t *testing.T) {
	handler := func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Keep-Alive", "timeout=5") }
	bubble(t, handler, func(t *testing.T, _ *memnet.Network, _ *http.Server, tr *transport.Transport) {
		jump := jumpy(tr)
		assert.False(t, reuses(t, tr, "POST", nil))
		jump.Add(int64(3 * time.Second))
		assert.True(t, reuses(t, tr, "POST", nil))
		jump.Add(int64(7 * time.Second))
		assert.True(t, reuses(t, tr, "GET", nil), "can be repeated")
		jump.Add(int64(7 * time.Second))
		assert.False(t, reuses(t, tr, "POST", nil))
		assert.Equal(t, int64(1), tr.Stats().Closes[transport.ReasonNearItsEnd])
		jump.Add(-int64(24 * time.Hour))
		assert.True(t, reuses(t, tr, "POST", nil), "set back")
	})
}

// What a server does while the machine is suspended, or the clock is set, tells nothing of how long it keeps connections.
func TestSuspensionsTeachNothing(t *testing.T) {
	for name, timeout := range map[string]time.Duration{"some timeout": 0, "no timeout": -1} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(http.ResponseWriter, *http.Request) {}, func(t *testing.T, _ *memnet.Network, server *http.Server, tr *transport.Transport) {
				server.IdleTimeout = 5 * time.Second
				tr.IdleConnTimeout = timeout
				jump := jumpy(tr)
				hangUp := func() {
					t.Helper()
					before := tr.Stats().Closes[transport.ReasonPeerClosed]
					time.Sleep(6 * time.Second)
					require.Equal(t, before+1, tr.Stats().Closes[transport.ReasonPeerClosed])
				}
				reuses(t, tr, "POST", nil)
				hangUp() // and is known now
				for _, by := range []time.Duration{8 * time.Hour, -24 * time.Hour} {
					reuses(t, tr, "POST", nil)
					jump.Add(int64(by))
					hangUp()
				}
				reuses(t, tr, "POST", nil)
				time.Sleep(4900 * time.Millisecond)
				assert.False(t, reuses(t, tr, "POST", nil))
			})
		})
	}
}

// A clock that is set, in whatever direction, ends no request in progress, no body and no wait; an idle connection at most is dialed
// anew, and IdleConnTimeout is by the time that passed.
func TestClockIsSet(t *testing.T) {
	handler := func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write(pattern(20000))
		w.(http.Flusher).Flush()
		time.Sleep(time.Second)
		_, _ = w.Write(pattern(20000))
	}
	for name, by := range map[string]time.Duration{"forward": 24 * time.Hour, "back": -24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			bubble(t, handler, func(t *testing.T, _ *memnet.Network, _ *http.Server, tr *transport.Transport) {
				tr.IdleConnTimeout, tr.MaxConnLifetime, tr.LeakTimeout = time.Minute, time.Hour, time.Minute
				jump := jumpy(tr)
				time.AfterFunc(500*time.Millisecond, func() { jump.Add(int64(by)) })
				assert.Len(t, fetch(t, tr, "/"), 40000)
				time.Sleep(30 * time.Second)
				jump.Add(-int64(by))
				time.Sleep(29 * time.Second)
				assert.Equal(t, 1, tr.Stats().Idle)
				time.Sleep(2 * time.Second)
				st := tr.Stats()
				assert.Zero(t, st.Idle)
				assert.Equal(t, map[pool.Reason]int64{pool.IdleTimeout: 1}, st.Closes)
				assert.Empty(t, st.Leaks)
			})
		})
	}
}
