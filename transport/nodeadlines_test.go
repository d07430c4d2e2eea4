//go:build linux

package transport_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/internal/badserver"
	"github.com/watertight-go/watertight/transport"
)

// An untimed connection has no deadlines, as a channel of SSH has none.
type untimed struct{ bare }

func (untimed) SetDeadline(time.Time) error      { return os.ErrNoDeadline }
func (untimed) SetReadDeadline(time.Time) error  { return os.ErrNoDeadline }
func (untimed) SetWriteDeadline(time.Time) error { return os.ErrNoDeadline }

// withoutDeadlines makes a transport whose connections have none, with a server that reads a request and goes silent.
func withoutDeadlines(t *testing.T, https bool) (*badserver.Server, *transport.Transport) {
	server, tr := hangup(t, https, badserver.ReadRequest{}, badserver.Stall{})
	tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return untimed{bare{nc}}, nil
	}
	return server, tr
}

// The end of a request's context ends its wait on a connection without deadlines, and closes that.
func TestCancelWithoutDeadlines(t *testing.T) {
	plainAndTLS(t, func(t *testing.T, https bool) {
		server, tr := withoutDeadlines(t, https)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { go cancel() }})
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
		require.NoError(t, err)
		_, err = tr.RoundTrip(req)
		assert.Equal(t, context.Canceled, err)
		wantNoSocket(t, server)
	})
}

// So does ResponseHeaderTimeout.
func TestResponseHeaderTimeoutWithoutDeadlines(t *testing.T) {
	plainAndTLS(t, func(t *testing.T, https bool) {
		server, tr := withoutDeadlines(t, https)
		tr.ResponseHeaderTimeout = 20 * time.Millisecond
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
		require.NoError(t, err)
		_, err = tr.RoundTrip(req)
		assert.ErrorContains(t, err, "ResponseHeaderTimeout")
		var ne net.Error
		require.ErrorAs(t, err, &ne)
		assert.True(t, ne.Timeout())
		wantNoSocket(t, server)
	})
}

// A proxy that does not answer holds no dial, and no Close, for longer than somebody wants it.
func TestSilentProxyWithoutDeadlines(t *testing.T) {
	for _, scheme := range []string{"http", "https", "socks5"} {
		t.Run(scheme, func(t *testing.T) {
			server, tr := withoutDeadlines(t, scheme == "https")
			proxy, err := url.Parse(server.URL)
			require.NoError(t, err)
			proxy.Scheme = scheme
			tr.Proxy = http.ProxyURL(proxy)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			defer cancel()
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://origin.test/", nil)
			require.NoError(t, err)
			_, err = tr.RoundTrip(req)
			assert.Equal(t, context.DeadlineExceeded, err)
			require.NoError(t, tr.Close())
			wantNoSocket(t, server)
		})
	}
}
