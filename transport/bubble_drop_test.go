package transport_test

import (
	"context"
	"net/http"
	"runtime"
	"testing"
	"testing/synctest"

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
