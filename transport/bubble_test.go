package transport_test

import (
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/internal/memnet"
	"github.com/watertight-go/watertight/transport"
)

// bubble tells a story over a network in memory, in which hours take no time: its connections have no descriptor.
func bubble(t *testing.T, handler http.HandlerFunc, tell func(*testing.T, *memnet.Network, *http.Server, *transport.Transport)) {
	synctest.Test(t, func(t *testing.T) {
		var n memnet.Network
		l, err := n.Listen("a.example:80")
		require.NoError(t, err)
		server := &http.Server{Handler: handler}
		go func() { _ = server.Serve(l) }()
		synctest.Wait() // it looks at its settings when it begins
		tr := &transport.Transport{DialContext: n.DialContext}
		tell(t, &n, server, tr)
		require.NoError(t, tr.Close())
		require.NoError(t, server.Close())
		synctest.Wait()
		assert.Zero(t, n.Open(), "ends of connections")
	})
}

func fetch(t *testing.T, tr *transport.Transport, path string) string {
	t.Helper()
	resp, err := (&http.Client{Transport: tr}).Get("http://a.example" + path)
	require.NoError(t, err)
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return string(b)
}

// Requests work in a bubble, connections are used again, and IdleConnTimeout ends them.
func TestIdleTimeoutInABubble(t *testing.T) {
	bubble(t, sized, func(t *testing.T, n *memnet.Network, _ *http.Server, tr *transport.Transport) {
		tr.IdleConnTimeout = time.Minute
		for _, path := range []string{"/10", "/100000", "/10"} {
			assert.Len(t, fetch(t, tr, path), map[string]int{"/10": 10, "/100000": 100000}[path])
			time.Sleep(59 * time.Second)
		}
		assert.EqualValues(t, 1, tr.Stats().Dials)
		assert.Equal(t, 1, tr.Stats().Idle)
		time.Sleep(time.Second)
		synctest.Wait()
		assert.Zero(t, tr.Stats().Open)
	})
}

// Where nothing can be watched, a read that is parked on the idle connection sees the server's hang-up, and bytes
// that nobody asked for.
func TestParkedReadSeesTheHangup(t *testing.T) {
	bubble(t, sized, func(t *testing.T, _ *memnet.Network, server *http.Server, tr *transport.Transport) {
		fetch(t, tr, "/10")
		server.SetKeepAlivesEnabled(false)
		synctest.Wait()
		st := tr.Stats()
		assert.Zero(t, st.Open)
		assert.EqualValues(t, 1, st.Closes[transport.ReasonPeerClosed])
	})
	synctest.Test(t, func(t *testing.T) {
		var n memnet.Network
		l, err := n.Listen("a.example:80")
		require.NoError(t, err)
		tr := &transport.Transport{DialContext: n.DialContext}
		go func() {
			c, err := l.Accept()
			if err != nil {
				return
			}
			defer c.Close()
			_, _ = c.Read(make([]byte, 4096))
			_, _ = io.WriteString(c, okResponse)
			time.Sleep(time.Second)
			_, _ = io.WriteString(c, "HTTP/1.1 408 Request Timeout\r\n\r\n")
			_, _ = c.Read(make([]byte, 1)) // until the client leaves
		}()
		assert.Equal(t, "ok", fetch(t, tr, "/"))
		time.Sleep(2 * time.Second)
		synctest.Wait()
		assert.EqualValues(t, 1, tr.Stats().Closes[transport.ReasonUnsolicited])
		require.NoError(t, tr.Close())
		require.NoError(t, l.Close())
		synctest.Wait()
		assert.Zero(t, n.Open())
	})
}

// A silent event stream lives for an hour.
func TestASilentStreamLives(t *testing.T) {
	handler := func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(pattern(20000))
		w.(http.Flusher).Flush()
		time.Sleep(time.Hour)
		_, _ = io.WriteString(w, "end")
	}
	bubble(t, handler, func(t *testing.T, _ *memnet.Network, _ *http.Server, tr *transport.Transport) {
		assert.Len(t, fetch(t, tr, "/"), 20003)
		assert.Empty(t, tr.Stats().Leaks)
	})
}
