package transport_test

import (
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/internal/memnet"
	"github.com/watertight-go/watertight/pool"
	"github.com/watertight-go/watertight/transport"
)

// reuses sends a request and tells whether it got a connection that served before.
func reuses(t *testing.T, tr *transport.Transport, method string, header http.Header) (reused bool) {
	t.Helper()
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { reused = i.Reused }})
	req, err := http.NewRequestWithContext(ctx, method, "http://a.example/", nil)
	require.NoError(t, err)
	if header != nil {
		req.Header = header
	}
	resp, err := tr.RoundTrip(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return reused
}

// A request that cannot be repeated stays off a connection that its server is about to close, by what the server said of it or by
// the age at which it closed one before. One that can be repeated uses it.
func TestConnectionsNearTheirEnd(t *testing.T) {
	for name, hint := range map[string]string{"said": "max=100, Timeout=5", "learned": ""} {
		t.Run(name, func(t *testing.T) {
			handler := func(w http.ResponseWriter, _ *http.Request) {
				if hint != "" {
					w.Header().Set("Keep-Alive", hint)
				}
			}
			bubble(t, handler, func(t *testing.T, _ *memnet.Network, server *http.Server, tr *transport.Transport) {
				server.IdleTimeout = 5 * time.Second
				assert.False(t, reuses(t, tr, "POST", nil))
				if hint == "" {
					time.Sleep(6 * time.Second) // the server closes it, and so is known
					assert.Equal(t, int64(1), tr.Stats().Closes[transport.ReasonPeerClosed])
					assert.False(t, reuses(t, tr, "POST", nil))
				}
				time.Sleep(4 * time.Second)
				assert.True(t, reuses(t, tr, "POST", nil), "far from its end")
				time.Sleep(4900 * time.Millisecond)
				assert.True(t, reuses(t, tr, "GET", nil))
				time.Sleep(4900 * time.Millisecond)
				assert.True(t, reuses(t, tr, "POST", http.Header{"Idempotency-Key": {"k"}}))
				time.Sleep(4900 * time.Millisecond)
				assert.False(t, reuses(t, tr, "POST", nil))
				assert.Equal(t, int64(1), tr.Stats().Closes[transport.ReasonNearItsEnd])
			})
		})
	}
}

// What is learned of a server follows it: one that keeps connections longer than before is believed at once, and ends at odd times, as
// of a server that restarts, count for little.
func TestLearnedLivesFollow(t *testing.T) {
	bubble(t, func(http.ResponseWriter, *http.Request) {}, func(t *testing.T, n *memnet.Network, server *http.Server, tr *transport.Transport) {
		server.IdleTimeout = 20 * time.Second
		reuses(t, tr, "POST", nil)
		time.Sleep(21 * time.Second)
		reuses(t, tr, "POST", nil)
		time.Sleep(time.Second)
		server.SetKeepAlivesEnabled(false) // closes what is idle
		time.Sleep(time.Second)
		server.SetKeepAlivesEnabled(true)
		reuses(t, tr, "POST", nil)
		time.Sleep(12 * time.Second)
		assert.True(t, reuses(t, tr, "POST", nil), "15.25 s is what is expected now")
	})
}

// A machine that was suspended wakes up with connections that its timers think young: they are not used. A clock that is set back
// changes nothing.
func TestSuspendedMachine(t *testing.T) {
	ours(t, echo, func(s *story) {
		var offset atomic.Int64
		s.ours.SetWallClock(func() time.Time { return time.Now().Add(time.Duration(offset.Load())) })
		s.read(s.get("/"))
		offset.Store(int64(2 * time.Minute))
		s.read(s.get("/"))
		s.wantDials(2)
		offset.Store(int64(-24 * time.Hour))
		s.read(s.get("/"))
		s.wantDials(2)
		assert.Equal(s, int64(1), s.ours.Stats().Closes[pool.IdleTimeout])
	})
}

// What we close ourselves tells nothing of the server.
func TestOwnClosesTeachNothing(t *testing.T) {
	bubble(t, func(http.ResponseWriter, *http.Request) {}, func(t *testing.T, _ *memnet.Network, _ *http.Server, tr *transport.Transport) {
		assert.False(t, reuses(t, tr, "POST", nil))
		time.Sleep(3 * time.Second)
		tr.CloseIdleConnections()
		assert.False(t, reuses(t, tr, "POST", nil))
		time.Sleep(3 * time.Second)
		assert.True(t, reuses(t, tr, "POST", nil))
	})
}
