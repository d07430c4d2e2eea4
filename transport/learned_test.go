package transport_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/internal/memnet"
	"github.com/watertight-go/watertight/transport"
)

// A server that restarts once ends a connection of any age. Connections that outlive that age disprove it: who sends a POST now and then
// does not dial for each of them from then on.
func TestARestartIsForgotten(t *testing.T) {
	bubble(t, func(http.ResponseWriter, *http.Request) {}, func(t *testing.T, _ *memnet.Network, server *http.Server, tr *transport.Transport) {
		reuses(t, tr, "POST", nil)
		time.Sleep(3 * time.Second)
		server.SetKeepAlivesEnabled(false) // closes what is idle
		time.Sleep(time.Second)
		server.SetKeepAlivesEnabled(true)
		require.Equal(t, int64(1), tr.Stats().Closes[transport.ReasonPeerClosed])
		for range 10 {
			reuses(t, tr, "POST", nil)
			time.Sleep(30 * time.Second)
		}
		assert.EqualValues(t, 2, tr.Stats().Dials)
	})
}

// So it is for who sends a POST at regular times, such as one that pushes its metrics, where the server restarts just before one: a
// connection that is never as old as would disprove it would never be used again.
func TestARestartBeforeARegularRequestIsForgotten(t *testing.T) {
	bubble(t, func(http.ResponseWriter, *http.Request) {}, func(t *testing.T, _ *memnet.Network, server *http.Server, tr *transport.Transport) {
		const interval = 10 * time.Second
		reuses(t, tr, "POST", nil)
		time.Sleep(interval - time.Second)
		server.SetKeepAlivesEnabled(false) // closes what is idle
		time.Sleep(time.Second)
		server.SetKeepAlivesEnabled(true)
		require.Equal(t, int64(1), tr.Stats().Closes[transport.ReasonPeerClosed])
		for range 40 {
			reuses(t, tr, "POST", nil)
			time.Sleep(interval)
		}
		assert.LessOrEqual(t, tr.Stats().Dials, int64(12))
	})
}

// A server may promise more than whoever is before it keeps: what is seen counts as well as what is said.
func TestPromisesThatAreNotKept(t *testing.T) {
	handler := func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Keep-Alive", "timeout=75") }
	bubble(t, handler, func(t *testing.T, _ *memnet.Network, server *http.Server, tr *transport.Transport) {
		server.IdleTimeout = 20 * time.Second
		reuses(t, tr, "POST", nil)
		time.Sleep(21 * time.Second)
		require.Equal(t, int64(1), tr.Stats().Closes[transport.ReasonPeerClosed])
		reuses(t, tr, "POST", nil)
		time.Sleep(19900 * time.Millisecond)
		assert.False(t, reuses(t, tr, "POST", nil))
		assert.Equal(t, int64(1), tr.Stats().Closes[transport.ReasonNearItsEnd])
	})
}
