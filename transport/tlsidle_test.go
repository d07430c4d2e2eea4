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
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/pool"
	"github.com/watertight-go/watertight/reaper"
	"github.com/watertight-go/watertight/transport"
)

// What TLS of ours finds on an idle connection decides: a goodbye without a FIN, an alert and data end it before anything is sent on
// it, and a POST goes elsewhere.
func TestIdleTLSIsLookedInto(t *testing.T) {
	for name, tt := range map[string]struct {
		deed func(*tls.Conn)
		why  pool.Reason
	}{
		"close_notify": {func(c *tls.Conn) { _ = c.CloseWrite() }, transport.ReasonPeerClosed},
		"data":         {func(c *tls.Conn) { _, _ = io.WriteString(c, lateAnswer) }, transport.ReasonUnsolicited},
		"nonsense":     {func(c *tls.Conn) { _, _ = io.WriteString(beneath(c), "nonsense, and a lot of it") }, transport.ReasonPeerClosed},
	} {
		t.Run(name, func(t *testing.T) {
			server := startRaw(t, true)
			tr := &transport.Transport{TLSClientConfig: server.config}
			defer func() { assert.NoError(t, tr.Close()) }()
			act, acted, served := make(chan struct{}), make(chan struct{}), make(chan struct{})
			go func() {
				defer close(served)
				first := <-server.conns
				defer first.Close()
				answer(t, bufio.NewReader(first), first, okResponse)
				<-act
				tt.deed(first.(*tls.Conn))
				close(acted)
				n, _ := io.Copy(io.Discard, first)
				assert.Zero(t, n, "bytes of a request")
				second := <-server.conns
				defer second.Close()
				answer(t, bufio.NewReader(second), second, okResponse)
			}()
			require.NoError(t, mustGet(t, tr, server.url()).Body.Close())
			close(act)
			<-acted
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.url(), nil)
			require.NoError(t, err)
			resp, err := tr.RoundTrip(req)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			<-served
			assert.EqualValues(t, 2, tr.Stats().Dials)
			assert.Positive(t, tr.Stats().Closes[tt.why])
		})
	}
}

// A session ticket that lies on an idle connection is TLS's own business: the connection is used. Here it was dialed in vain, so that
// nobody has read from it.
func TestTicketOnAnIdleConnection(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(sized))
	server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert} // so that the ticket follows the handshake
	server.StartTLS()
	defer server.Close()
	config := trust(server)
	config.ClientSessionCache = tls.NewLRUClientSessionCache(0) // or there is no ticket
	var dialed net.Conn
	ctx, cancel := context.WithCancel(t.Context())
	var once sync.Once
	config.VerifyConnection = func(tls.ConnectionState) error {
		once.Do(cancel)
		return nil
	}
	tr := &transport.Transport{TLSClientConfig: config, DialContext: func(ctx context.Context, network, addr string) (nc net.Conn, err error) {
		dialed, err = new(net.Dialer).DialContext(ctx, network, addr)
		return dialed, err
	}}
	defer func() { assert.NoError(t, tr.Close()) }()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/10", nil)
	require.NoError(t, err)
	_, err = tr.RoundTrip(req)
	require.ErrorIs(t, err, context.Canceled)
	require.Eventually(t, func() bool { return tr.Stats().Idle == 1 }, patience, tick)
	require.Eventually(t, func() bool { return reaper.Probe(dialed) == reaper.ErrUnexpectedData }, patience, tick)
	for range 2 {
		require.NoError(t, mustGet(t, tr, server.URL+"/10").Body.Close())
	}
	assert.EqualValues(t, 1, tr.Stats().Dials)
}

// Where the system has no descriptor left to watch with, a connection is listened to instead: its hang-up is noticed all the same.
func TestNoDescriptorToWatchWith(t *testing.T) {
	server := startRaw(t, false)
	accepted := make(chan net.Conn, 1)
	var old syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &old))
	restore := func() { assert.NoError(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &old)) }
	defer restore()
	tr := &transport.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		c := <-server.conns
		low := old
		low.Cur = 3 // no new descriptor is below it
		err = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &low)
		accepted <- c
		return nc, err
	}}
	defer func() { assert.NoError(t, tr.Close()) }()
	for range 3 {
		go func() {
			c := <-accepted
			_, err := http.ReadRequest(bufio.NewReader(c)) // the watch has been tried
			restore()
			assert.NoError(t, err)
			_, _ = io.WriteString(c, okResponse)
			_ = c.(*net.TCPConn).CloseWrite()
			_, _ = io.Copy(io.Discard, c)
			_ = c.Close()
		}()
		require.NoError(t, mustGet(t, tr, server.url()).Body.Close())
		require.Eventually(t, func() bool { return tr.Stats().Open == 0 && len(socketsTo(t, server.url())) == 0 }, patience, tick)
	}
}
