package transport_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/pool"
	"github.com/watertight-go/watertight/transport"
)

// A sticky connection hangs in Close until it is let go.
type sticky struct {
	net.Conn
	closing chan<- struct{}
	letGo   <-chan struct{}
}

func (c *sticky) Close() error {
	c.closing <- struct{}{}
	<-c.letGo
	return c.Conn.Close()
}

// A connection whose Close hangs, whatever it is closed for, delays no request, to its own origin or to another.
func TestASlowCloseDelaysNoRequest(t *testing.T) {
	handler := func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/close":
			w.Header().Set("Connection", "close")
		case "/body":
			_, _ = w.Write(pattern(20000))
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		case "/hang":
			<-r.Context().Done()
		}
	}
	for name, tt := range map[string]struct {
		set func(*transport.Transport)
		end func(s *story)
		why pool.Reason
	}{
		"the server says so": {nil, func(s *story) { s.read(s.get("/close")) }, transport.ReasonNoKeepAlive},
		"the body is closed early": {func(tr *transport.Transport) { tr.MaxDrainBytes = -1 }, func(s *story) {
			assert.NoError(s, s.get("/body").Body.Close())
		}, transport.ReasonUnread},
		// Of a connection that is not the net package's own, Close is all that ends an exchange: until it has, its place is taken.
		"the server does not answer": {func(tr *transport.Transport) {
			tr.ResponseHeaderTimeout, tr.MaxConnsPerHost = 20*time.Millisecond, 0
		}, func(s *story) {
			go func() { _, _ = s.rt.RoundTrip(s.request(http.MethodGet, "/hang", nil)) }()
		}, transport.ReasonCancelled},
		"the request is cancelled": {func(tr *transport.Transport) { tr.MaxConnsPerHost = 0 }, func(s *story) {
			ctx, cancel := context.WithCancel(s.Context())
			ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { cancel() }})
			go func() { _, _ = s.rt.RoundTrip(s.request(http.MethodGet, "/hang", nil).WithContext(ctx)) }()
		}, transport.ReasonCancelled},
		"it is idle for too long": {func(tr *transport.Transport) { tr.IdleConnTimeout = 20 * time.Millisecond }, func(s *story) {
			s.read(s.get("/"))
		}, pool.IdleTimeout},
		"it is one too many": {func(tr *transport.Transport) { tr.MaxIdleConns = 1 }, func(s *story) {
			s.read(s.get("/"))
			s.visit("another.example")
		}, pool.Evicted},
		"CloseIdleConnections": {nil, func(s *story) {
			s.read(s.get("/"))
			go s.rt.CloseIdleConnections()
		}, pool.IdleClosed},
		"the server hangs up": {nil, func(s *story) {
			s.read(s.get("/"))
			s.server.CloseClientConnections()
		}, transport.ReasonPeerClosed},
	} {
		t.Run(name, func(t *testing.T) {
			ours1(t, handler, func(s *story) {
				closing, letGo := make(chan struct{}, 16), make(chan struct{})
				var first sync.Once
				dialed := func(nc net.Conn) net.Conn {
					first.Do(func() { nc = &sticky{nc, closing, letGo} })
					return nc
				}
				s.ours.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
					nc, err := s.dial(ctx, network, s.server.Listener.Addr().String())
					return dialed(nc), err
				}
				if tt.set != nil {
					tt.set(s.ours)
				}
				tt.end(s)
				<-closing
				for _, host := range []string{s.server.Listener.Addr().String(), "another.example", "new.example"} {
					s.visit(host)
				}
				close(letGo)
				s.eventually("counted", func() bool { return s.ours.Stats().Closes[tt.why] >= 1 })
			}, func(tr *http.Transport) {
				tr.MaxConnsPerHost = 1
				if tr.TLSClientConfig != nil {
					tr.TLSClientConfig.ServerName = "example.com"
				}
			})
		})
	}
}

// visit sends a request to a host, which is the story's server, and reads its answer.
func (s *story) visit(host string) {
	s.Helper()
	req := s.request(http.MethodGet, "/", nil)
	req.URL.Host = host
	resp := s.send(req)
	_, err := io.Copy(io.Discard, resp.Body)
	require.NoError(s, err)
	require.NoError(s, resp.Body.Close())
}
