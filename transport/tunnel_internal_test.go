package transport

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A tunnel that was ended before the collector finds its handle is no leak; one that was not is one.
func TestEndedTunnelsAreNoLeaks(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		nc, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer nc.Close()
		_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		_ = rw.Flush()
		_, _ = rw.ReadByte() // until the client leaves
	}))
	defer server.Close()
	for _, ended := range []bool{true, false} {
		var leaks int
		tr := &Transport{OnLeak: func(Leak) { leaks++ }}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
		require.NoError(t, err)
		req.Header.Set("Connection", "Upgrade")
		req.Header.Set("Upgrade", "echo")
		resp, err := tr.RoundTrip(req)
		require.NoError(t, err)
		b := resp.Body.(*tunnelBody)
		if ended {
			_, err := b.t.close()
			require.NoError(t, err)
		}
		b.t.reclaim() // what the collector has done
		assert.Equal(t, ended, leaks == 0)
		require.NoError(t, b.Close())
		require.NoError(t, tr.Close())
	}
}
