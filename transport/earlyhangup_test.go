//go:build linux

package transport_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/internal/sockstat"
	"github.com/watertight-go/watertight/transport"
)

// A cutoff is a connection of a server that hangs up once it has written so many bytes.
type cutoff struct {
	net.Conn
	left int
	end  func(*net.TCPConn)
}

func (c *cutoff) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p[:min(len(p), c.left)])
	if c.left -= n; err == nil && n < len(p) {
		c.end(c.Conn.(*net.TCPConn))
		return n, net.ErrClosed
	}
	return n, err
}

// endings are the ways in which a server hangs up.
var endings = map[string]func(*net.TCPConn){
	"FIN":        func(c *net.TCPConn) { _ = c.Close() },
	"half-close": func(c *net.TCPConn) { _ = c.CloseWrite() },
	"RST": func(c *net.TCPConn) {
		_ = c.SetLinger(0)
		_ = c.Close()
	},
}

// certified returns a certificate for example.com, and who trusts it.
func certified(t *testing.T) (server, client *tls.Config) {
	s := httptest.NewUnstartedServer(nil)
	s.StartTLS()
	defer s.Close()
	client = trust(s)
	client.ServerName = "example.com"
	return &tls.Config{Certificates: s.TLS.Certificates}, client
}

// keeping returns a dialer that keeps what it dials from the collector, which would close it.
func keeping(t *testing.T) func(context.Context, string, string) (net.Conn, error) {
	var mu sync.Mutex
	var kept []net.Conn
	t.Cleanup(func() { runtime.KeepAlive(kept) })
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := new(net.Dialer).DialContext(ctx, network, addr)
		mu.Lock()
		defer mu.Unlock()
		kept = append(kept, nc)
		return nc, err
	}
}

// wantOneServed wants that a request fails and the next one is served, and that nothing is left of the first.
func wantOneServed(t *testing.T, tr *transport.Transport, url string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	_, err = tr.RoundTrip(req)
	assert.Error(t, err)
	require.Eventually(t, func() bool { return len(socketsTo(t, url)) == 0 }, patience, tick, "no socket")
	st := tr.Stats()
	assert.Zero(t, st.Open+st.Leased+st.Dialing+st.Waiting)
	assert.NoError(t, mustGet(t, tr, url).Body.Close())
	assert.EqualValues(t, 1, tr.Stats().Idle)
}

// A server that hangs up during the TLS handshake, before its first byte, in the middle of its certificate or with its last word
// unsaid, costs one request and leaves no socket, whatever the version and whoever shakes hands.
func TestHangupDuringTheHandshake(t *testing.T) {
	for name, end := range endings {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			for _, left := range []int{0, 3, 100, 700} {
				t.Run(name+" "+tls.VersionName(version), func(t *testing.T) {
					server := startRaw(t, false)
					serverTLS, clientTLS := certified(t)
					serverTLS.MaxVersion = version
					tr := &transport.Transport{TLSClientConfig: clientTLS, DialContext: keeping(t)}
					defer func() { assert.NoError(t, tr.Close()) }()
					served := make(chan struct{})
					go func() {
						defer close(served)
						first := <-server.conns
						defer first.Close()
						assert.Error(t, tls.Server(&cutoff{first, left, end}, serverTLS).Handshake())
						_, _ = io.Copy(io.Discard, first) // until the client leaves
						serveNext(t, server, serverTLS)
					}()
					wantOneServed(t, tr, "https://"+server.Addr().String())
					assert.NoError(t, tr.Close())
					<-served
				})
			}
		}
	}
}

// serveNext answers the request on the next connection, and keeps that until the client leaves.
func serveNext(t *testing.T, server *rawServer, config *tls.Config) {
	c := tls.Server(<-server.conns, config)
	defer c.Close()
	answer(t, bufio.NewReader(c), c, okResponse)
	_, _ = io.Copy(io.Discard, c)
}

// A server that hangs up as soon as hands are shaken, before anybody can watch the connection: the request on it fails, and the
// socket is gone although nobody looks.
func TestHangupBehindTheHandshake(t *testing.T) {
	for name, end := range endings {
		for _, notify := range []bool{false, true} {
			t.Run(name+map[bool]string{true: " behind close_notify"}[notify], func(t *testing.T) {
				server := startRaw(t, false)
				serverTLS, clientTLS := certified(t)
				tr := &transport.Transport{TLSClientConfig: clientTLS, DialContext: keeping(t)}
				defer func() { assert.NoError(t, tr.Close()) }()
				served := make(chan struct{})
				go func() {
					defer close(served)
					first := <-server.conns
					defer first.Close()
					hands := tls.Server(first, serverTLS)
					assert.NoError(t, hands.Handshake())
					if notify {
						_ = hands.CloseWrite()
					}
					end(first.(*net.TCPConn))
					_, _ = io.Copy(io.Discard, first)
					serveNext(t, server, serverTLS)
				}()
				wantOneServed(t, tr, "https://"+server.Addr().String())
				assert.NoError(t, tr.Close())
				<-served
			})
		}
	}
}

// A server that hangs up on a connection that is still being dialed, and that nobody waits for any more: it is never idle, and no
// socket is left in CLOSE_WAIT until somebody comes.
func TestHangupDuringTheDial(t *testing.T) {
	server := startRaw(t, false)
	dialing, give := make(chan struct{}), make(chan struct{})
	tr := &transport.Transport{DialContext: func(_ context.Context, network, addr string) (net.Conn, error) {
		nc, err := net.Dial(network, addr)
		close(dialing)
		<-give
		return nc, err
	}}
	defer func() { assert.NoError(t, tr.Close()) }()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-dialing
		cancel()
	}()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.url(), nil)
	require.NoError(t, err)
	_, err = tr.RoundTrip(req)
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, (<-server.conns).Close())
	require.Eventually(t, func() bool {
		return sockstat.Count(socketsTo(t, server.url()))[sockstat.CloseWait] == 1
	}, patience, tick)
	close(give)
	require.Eventually(t, func() bool { return len(socketsTo(t, server.url())) == 0 }, patience, tick)
	st := tr.Stats()
	assert.Zero(t, st.Open+st.Dialing)
	assert.EqualValues(t, 1, st.Closes[transport.ReasonPeerClosed])
}
