//go:build linux

package transport_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
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

// A distant connection is one through SSH whose server is out of reach: its Close waits for that, and ends no Read.
type distant struct {
	untimed
	reached chan struct{}
	reading *atomic.Int32 // Reads in progress
}

func (d distant) Read(p []byte) (int, error) {
	d.reading.Add(1)
	defer d.reading.Add(-1)
	return d.untimed.Read(p)
}

func (d distant) Close() error {
	<-d.reached
	return d.untimed.Close()
}

// atDistance makes a transport whose connections are distant until reach is called.
func atDistance(t *testing.T, https bool, script ...badserver.Step) (server *badserver.Server, tr *transport.Transport, reading *atomic.Int32, reach func()) {
	server, tr = hangup(t, https, script...)
	reading = new(atomic.Int32)
	reached := make(chan struct{})
	tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return distant{untimed{bare{nc}}, reached, reading}, nil
	}
	reach = sync.OnceFunc(func() { close(reached) })
	t.Cleanup(reach)
	return server, tr, reading, reach
}

// Nor does the wait for a response outlast the request's context where Close does not end the Read: with net/http it does not either. It
// may be the first request on its connection or not, and part of the head may be there.
func TestCancelWhereCloseEndsNoRead(t *testing.T) {
	scripts := map[string][]badserver.Step{
		"first":   {badserver.ReadRequest{}, badserver.Stall{}},
		"second":  {badserver.ReadRequest{}, badserver.Write(okResponse), badserver.ReadRequest{}, badserver.Stall{}},
		"in part": {badserver.ReadRequest{}, badserver.Write("HTTP/1.1 200 OK\r\n"), badserver.Stall{}},
	}
	for name, script := range scripts {
		plainAndTLS(t, func(t *testing.T, https bool) {
			t.Run(name, func(t *testing.T) {
				server, tr, _, reach := atDistance(t, https, script...)
				if name == "second" {
					require.NoError(t, mustGet(t, tr, server.URL).Body.Close())
				}
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				trace := &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { go cancel() }}
				if name == "in part" {
					trace = &httptrace.ClientTrace{GotFirstResponseByte: func() { go cancel() }}
				}
				req, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, trace), http.MethodGet, server.URL, nil)
				require.NoError(t, err)
				ended := make(chan error, 1)
				go func() { _, err := tr.RoundTrip(req); ended <- err }()
				select {
				case err := <-ended:
					assert.Equal(t, context.Canceled, err)
				case <-time.After(patience):
					t.Error("RoundTrip goes on")
				}
				reach()
				wantNoSocket(t, server)
			})
		})
	}
}

// A Close of a body that ends a Read does not wait for the connection's.
func TestBodyCloseWhereCloseWaits(t *testing.T) {
	plainAndTLS(t, func(t *testing.T, https bool) {
		server, tr, reading, reach := atDistance(t, https, badserver.ReadRequest{}, badserver.Write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"), badserver.Stall{})
		resp := mustGet(t, tr, server.URL)
		_, err := io.ReadFull(resp.Body, make([]byte, 3))
		require.NoError(t, err)
		read := make(chan error, 1)
		go func() { _, err := resp.Body.Read(make([]byte, 1)); read <- err }()
		require.Eventually(t, func() bool { return reading.Load() == 1 }, patience, tick)
		wantSoon(t, "Close", func() { assert.NoError(t, resp.Body.Close()) })
		reach()
		assert.Equal(t, http.ErrBodyReadAfterClose, <-read)
		wantNoSocket(t, server)
	})
}

// Nor does CancelRequest, and a request with a body that is still being sent ends with its context.
func TestUploadCancelledWhereCloseWaits(t *testing.T) {
	for _, legacy := range []bool{false, true} {
		plainAndTLS(t, func(t *testing.T, https bool) {
			server, tr, _, reach := atDistance(t, https, badserver.ReadHead{}, badserver.Stall{})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			sent := make(chan struct{})
			trace := &httptrace.ClientTrace{WroteHeaders: func() { close(sent) }}
			body, w := io.Pipe()
			defer w.Close()
			req, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, trace), http.MethodPost, server.URL, body)
			require.NoError(t, err)
			ended := make(chan error, 1)
			go func() { _, err := tr.RoundTrip(req); ended <- err }()
			<-sent
			if legacy {
				wantSoon(t, "CancelRequest", func() { tr.CancelRequest(req) })
			} else {
				cancel()
			}
			wantSoon(t, "RoundTrip", func() { assert.Error(t, <-ended) })
			reach()
			wantNoSocket(t, server)
		})
	}
}

// wantSoon waits until f has returned.
func wantSoon(t *testing.T, name string, f func()) {
	t.Helper()
	returned := make(chan struct{})
	go func() { f(); close(returned) }()
	select {
	case <-returned:
	case <-time.After(patience):
		t.Error(name + " goes on")
	}
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
