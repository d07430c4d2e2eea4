package transport_test

import (
	"context"
	"net/http"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/internal/memnet"
	"github.com/watertight-go/watertight/transport"
)

// A body that is dropped in a bubble is left alone until its request ends: the collector's cleanups run outside of
// all bubbles, and would end the process.
func TestDroppedInABubble(t *testing.T) {
	bubble(t, sized, func(t *testing.T, _ *memnet.Network, _ *http.Server, tr *transport.Transport) {
		ctx, cancel := context.WithCancel(t.Context())
		func() {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://a.example/1000000", nil)
			require.NoError(t, err)
			_, err = tr.RoundTrip(req)
			require.NoError(t, err)
		}()
		for range 5 {
			runtime.GC()
			synctest.Wait()
		}
		require.Equal(t, 1, tr.Stats().Bodies)
		cancel()
		synctest.Wait()
		require.Zero(t, tr.Stats().Bodies)
	})
}

// LeakTimeout finds a body that was dropped in a bubble also behind the Close of a Transport that was dropped then.
func TestForgottenInABubbleBehindClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n memnet.Network
		l, err := n.Listen("a.example:80")
		require.NoError(t, err)
		server := &http.Server{Handler: http.HandlerFunc(sized)}
		go func() { _ = server.Serve(l) }()
		synctest.Wait()
		func() {
			tr := &transport.Transport{DialContext: n.DialContext, LeakTimeout: time.Minute}
			req, err := http.NewRequest(http.MethodGet, "http://a.example/1000000", nil) // a context that ends would keep the connection
			require.NoError(t, err)
			_, err = tr.RoundTrip(req)
			require.NoError(t, err)
			require.NoError(t, tr.Close())
		}()
		for range 5 {
			runtime.GC()
			synctest.Wait()
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		assert.Zero(t, n.Open(), "ends of connections")
		require.NoError(t, server.Close())
	})
}
