//go:build linux

package ecosystem_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/transport"
	"github.com/watertight-go/watertight/transport/leaktest"
)

// echoSocket echoes messages, and hangs up without a word after "hang up".
func echoSocket(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer conn.CloseNow()
	for {
		kind, message, err := conn.Read(r.Context())
		if err != nil || string(message) == "hang up" {
			return
		}
		if conn.Write(r.Context(), kind, message) != nil {
			return
		}
	}
}

// socketServer starts a WebSocket server, with TLS one that speaks HTTP/2 as well.
func socketServer(t *testing.T, secure bool) *httptest.Server {
	server := httptest.NewUnstartedServer(http.HandlerFunc(echoSocket))
	if secure {
		server.EnableHTTP2 = true
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	return server
}

// openSocket opens a WebSocket through a RoundTripper: HTTPClient is all there is to set. An upgrade goes over HTTP/1.1, whatever the
// Transport negotiates for other requests.
func openSocket(t *testing.T, rt http.RoundTripper, base string) *websocket.Conn {
	conn, resp, err := websocket.Dial(t.Context(), base, &websocket.DialOptions{HTTPClient: &http.Client{Transport: rt}})
	require.NoError(t, err)
	assert.Equal(t, "HTTP/1.1", resp.Proto)
	return conn
}

func exchange(t *testing.T, conn *websocket.Conn, message string) {
	require.NoError(t, conn.Write(t.Context(), websocket.MessageText, []byte(message)))
	_, got, err := conn.Read(t.Context())
	require.NoError(t, err)
	assert.Equal(t, message, string(got))
}

// Messages go both ways, and either end may say goodbye: no socket remains.
func TestWebSocket(t *testing.T) {
	for _, secure := range []bool{false, true} {
		server := socketServer(t, secure)
		tr := leaktest.NewTransport(t)
		if secure {
			tr.TLSClientConfig, tr.ForceAttemptHTTP2 = server.Client().Transport.(*http.Transport).TLSClientConfig, true
		}
		conn := openSocket(t, tr, server.URL)
		for _, message := range []string{"hello", strings.Repeat("long", 4000)} {
			exchange(t, conn, message)
		}
		wantSockets(t, server.URL, 1)
		assert.Len(t, tr.OpenBodies(), 1)
		require.NoError(t, conn.Close(websocket.StatusNormalClosure, ""))
		wantSockets(t, server.URL, 0)

		conn = openSocket(t, tr, server.URL)
		exchange(t, conn, "hello")
		require.NoError(t, conn.Write(t.Context(), websocket.MessageText, []byte("hang up")))
		_, _, err := conn.Read(t.Context())
		require.Error(t, err)
		require.NoError(t, conn.CloseNow())
		wantSockets(t, server.URL, 0)
		assert.Empty(t, tr.OpenBodies())
	}
}

// The end of a Read's context ends the WebSocket, not the Dial's.
func TestWebSocketContext(t *testing.T) {
	server := socketServer(t, false)
	tr := leaktest.NewTransport(t)
	ctx, cancel := context.WithCancel(t.Context())
	conn, _, err := websocket.Dial(ctx, server.URL, &websocket.DialOptions{HTTPClient: &http.Client{Transport: tr}})
	require.NoError(t, err)
	cancel()
	exchange(t, conn, "still there")
	ctx, cancel = context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	_, _, err = conn.Read(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	wantSockets(t, server.URL, 0)
	_ = conn.CloseNow()
}

// A WebSocket that nobody closed is no secret: OpenBodies names it. (One that is dropped is not found by the collector: the library
// itself has a finalizer on it, which never runs for something that refers to itself.)
func TestWebSocketForgotten(t *testing.T) {
	server := socketServer(t, false)
	tr, leaks := dropping(t)
	conn := openSocket(t, tr, server.URL+"/chat?key=secret")
	open := tr.OpenBodies()
	require.Len(t, open, 1)
	assert.Equal(t, server.URL+"/chat", open[0].URL)
	require.NoError(t, conn.CloseNow())
	assert.Empty(t, tr.OpenBodies())
	assert.Empty(t, leaks)
}

// Behind Install a WebSocket without TLS goes through ours; one with TLS goes past it, by net/http's own rule, and works as ever.
func TestWebSocketInstalled(t *testing.T) {
	for _, secure := range []bool{false, true} {
		server := socketServer(t, secure)
		base := &http.Transport{}
		if secure {
			base.TLSClientConfig = server.Client().Transport.(*http.Transport).TLSClientConfig
		}
		tr, err := transport.Install(base)
		require.NoError(t, err)
		conn := openSocket(t, base, server.URL)
		exchange(t, conn, "hello")
		assert.Equal(t, !secure, tr.Stats().Dials == 1)
		require.NoError(t, conn.Close(websocket.StatusNormalClosure, ""))
		wantSockets(t, server.URL, 0)
		require.NoError(t, tr.Close())
		base.CloseIdleConnections()
	}
}
