package transport_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/internal/badserver"
)

// A retry works under an http.Client with a Timeout, which sets Request.Cancel.
func TestRetryUnderAClientWithTimeout(t *testing.T) {
	for _, std := range []bool{true, false} {
		once := badserver.Script{badserver.ReadRequest{}, badserver.Write(okResponse), badserver.ReadRequest{}, badserver.Close{}}
		server := badserver.Start(t, once, badserver.Script{badserver.ReadRequest{}, badserver.Write(okResponse), badserver.Stall{}})
		s := newStory(t, echo, false, std)
		client := &http.Client{Transport: s.rt, Timeout: patience}
		for range 2 {
			resp, err := client.Get(server.URL)
			require.NoError(s, err)
			assert.Equal(s, "ok", s.read(resp))
		}
	}
}

// A proxy whose URL is not valid as text is an error: nobody is asked directly instead.
func TestProxyURLThatIsNoText(t *testing.T) {
	everywhere(t, echo, func(s *story) {
		_, err := s.rt.RoundTrip(s.request(http.MethodGet, "/", nil))
		require.Error(s, err)
		assert.NotContains(s, err.Error(), "secret")
	}, func(tr *http.Transport) {
		tr.DialContext = nil
		tr.Proxy = http.ProxyURL(&url.URL{Scheme: "http", User: url.UserPassword("me", "secret"), Host: "127.0.0.1:http:1"})
	})
}

// A connection that carried an upload is used again under a ResponseHeaderTimeout, though the head came after the body was sent.
func TestUploadsReuseUnderResponseHeaderTimeout(t *testing.T) {
	everywhere(t, echo, func(s *story) {
		for range 5 {
			body := io.NopCloser(strings.NewReader(strings.Repeat("x", 20000)))
			assert.Len(s, s.read(s.send(s.request(http.MethodPost, "/", body))), 20000+len("POST "))
		}
		s.wantDials(1)
	}, func(tr *http.Transport) { tr.ResponseHeaderTimeout = time.Minute })
}

// A 101 that does not name a protocol hands over nothing: it has no body, and costs its connection.
func TestSwitchToNothing(t *testing.T) {
	for _, std := range []bool{true, false} {
		server := startRaw(t, false)
		go func() {
			c := <-server.conns
			answer(t, bufio.NewReader(c), c, "HTTP/1.1 101 Switching Protocols\r\n\r\n")
			_, _ = io.Copy(io.Discard, c)
			_ = c.Close()
		}()
		s := newStory(t, echo, false, std)
		resp := mustGet(t, s.rt, server.url())
		b, err := io.ReadAll(resp.Body)
		require.NoError(s, err)
		assert.Empty(s, b)
		require.NoError(s, resp.Body.Close())
		if s.ours != nil {
			assert.Empty(s, s.ours.OpenBodies())
			s.eventually("closed", func() bool { return s.ours.Stats().Open == 0 })
		}
	}
}

// A URL without a host name leads to the machine itself, and does not confuse Stats, nor an AcquireError, which are about origins.
func TestURLWithoutHostName(t *testing.T) {
	everywhere(t, sized, func(s *story) {
		for range 2 {
			req := s.request(http.MethodGet, "/100000", nil)
			req.URL.Host = ":" + req.URL.Port()
			resp := s.send(req)
			if s.ours != nil {
				require.Len(s, s.ours.Stats().Origins, 1)
			}
			s.read(resp)
		}
		if s.ours == nil || s.server.TLS != nil {
			return
		}
		tr := s.ours.Clone()
		defer func() { assert.NoError(s, tr.Close()) }()
		tr.MaxConnsPerHost, tr.AcquireTimeout = 1, time.Millisecond
		tr.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, s.server.Listener.Addr().String())
		}
		resp := mustGet(s.T, tr, "http://:80/100000")
		_, err := (&http.Client{Transport: tr}).Get("http://:80/")
		assert.ErrorContains(s, err, "(MaxConnsPerHost) are taken")
		require.NoError(s, resp.Body.Close())
	}, func(tr *http.Transport) {
		if tr.TLSClientConfig != nil {
			tr.TLSClientConfig.ServerName = "example.com"
		}
	})
}

// A dial that leads nowhere costs the request that began it, and not those that follow: each tries for itself.
func TestRetryAfterAHungDial(t *testing.T) {
	var dials atomic.Int32
	begun := make(chan struct{})
	everywhere(t, echo, func(s *story) {
		dials.Store(0)
		ctx, cancel := context.WithCancel(s.Context())
		go func() {
			<-begun
			cancel()
		}()
		_, err := s.rt.RoundTrip(s.request(http.MethodGet, "/", nil).WithContext(ctx))
		require.ErrorIs(s, err, context.Canceled)
		s.read(s.get("/"))
		assert.EqualValues(s, 2, dials.Load())
	}, func(tr *http.Transport) {
		dial := tr.DialContext
		over := make(chan struct{})
		t.Cleanup(func() { close(over) })
		tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if dials.Add(1) == 1 {
				begun <- struct{}{}
				select {
				case <-ctx.Done():
				case <-over:
				}
				return nil, io.ErrClosedPipe
			}
			return dial(ctx, network, addr)
		}
	})
}
