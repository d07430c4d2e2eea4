package transport_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/transport"
)

// A roundTripper is what net/http's transport and ours have in common.
type roundTripper interface {
	http.RoundTripper
	CloseIdleConnections()
	CancelRequest(*http.Request)
}

// A story is a test's view of one server and one transport that talks to it.
type story struct {
	*testing.T
	rt     roundTripper
	ours   *transport.Transport // nil where the story runs on net/http
	server *httptest.Server
	dials  *atomic.Int64
	http2  bool
}

// A setting changes the transport before its first request.
type setting func(*http.Transport)

// everywhere tells a story over http, https and HTTP/2, on net/http and on ours.
func everywhere(t *testing.T, handler http.HandlerFunc, tell func(s *story), settings ...setting) {
	everywhere1(t, handler, tell, settings...)
	for _, std := range []bool{true, false} {
		t.Run("http2/"+map[bool]string{false: "ours", true: "std"}[std], func(t *testing.T) {
			tell(newHTTP2Story(t, handler, std, settings...))
		})
	}
}

// everywhere1 tells a story over http and https, on net/http and on ours.
func everywhere1(t *testing.T, handler http.HandlerFunc, tell func(s *story), settings ...setting) {
	for _, https := range []bool{false, true} {
		for _, std := range []bool{true, false} {
			name := map[bool]string{false: "http", true: "https"}[https] + "/" + map[bool]string{false: "ours", true: "std"}[std]
			t.Run(name, func(t *testing.T) { tell(newStory(t, handler, https, std, settings...)) })
		}
	}
}

// ours tells a story of ours over http, https and HTTP/2.
func ours(t *testing.T, handler http.HandlerFunc, tell func(s *story), settings ...setting) {
	ours1(t, handler, tell, settings...)
	t.Run("http2", func(t *testing.T) { tell(newHTTP2Story(t, handler, false, settings...)) })
}

// ours1 tells a story of ours over http and https.
func ours1(t *testing.T, handler http.HandlerFunc, tell func(s *story), settings ...setting) {
	for _, https := range []bool{false, true} {
		t.Run(map[bool]string{false: "http", true: "https"}[https], func(t *testing.T) {
			tell(newStory(t, handler, https, false, settings...))
		})
	}
}

// unlessOnWindows skips a test there, and says why.
func unlessOnWindows(t testing.TB, why string) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip(why)
	}
}

// Why there is nothing to test on Windows.
const (
	nothingWatches = "nothing but a Read tells of a hang-up here, so nothing is absorbed"
	resetsDestroy  = "a reset destroys here what was not read yet, be it the end"
)

func newStory(t *testing.T, handler http.HandlerFunc, https, std bool, settings ...setting) *story {
	t.Helper()
	s := &story{T: t, server: httptest.NewUnstartedServer(handler)}
	if https {
		s.server.StartTLS()
	} else {
		s.server.Start()
	}
	t.Cleanup(s.server.Close)
	s.connect(std, settings...)
	return s
}

// newHTTP2Story is newStory over HTTP/2.
func newHTTP2Story(t *testing.T, handler http.HandlerFunc, std bool, settings ...setting) *story {
	t.Helper()
	s := &story{T: t, server: httptest.NewUnstartedServer(handler), http2: true}
	s.server.EnableHTTP2 = true
	s.server.StartTLS()
	t.Cleanup(s.server.Close)
	s.connect(std, settings...)
	return s
}

// connect gives the story its transport.
func (s *story) connect(std bool, settings ...setting) {
	s.dials = new(atomic.Int64)
	base := &http.Transport{DialContext: s.dial, TLSClientConfig: trust(s.server)}
	if s.http2 {
		// A stream's window that a large body does not fit in, as no body would be long under way otherwise.
		base.ForceAttemptHTTP2, base.HTTP2 = true, &http.HTTP2Config{MaxReceiveBufferPerStream: 64 << 10}
	}
	for _, set := range settings {
		set(base)
	}
	if std {
		s.rt = base
		s.Cleanup(base.CloseIdleConnections)
		return
	}
	s.ours = transport.From(base)
	s.rt = s.ours
	s.Cleanup(func() { assert.NoError(s, s.ours.Close()) })
}

func (s *story) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	s.dials.Add(1)
	return new(net.Dialer).DialContext(ctx, network, addr)
}

// trust returns a configuration that accepts the server's certificate, nil for one without.
func trust(server *httptest.Server) *tls.Config {
	if server.Certificate() == nil {
		return nil
	}
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	return &tls.Config{RootCAs: roots}
}

// request makes a request to the story's server.
func (s *story) request(method, path string, body io.Reader) *http.Request {
	s.Helper()
	req, err := http.NewRequestWithContext(s.Context(), method, s.server.URL+path, body)
	require.NoError(s, err)
	return req
}

// send sends a request and wants a response.
func (s *story) send(req *http.Request) *http.Response {
	s.Helper()
	resp, err := s.rt.RoundTrip(req)
	require.NoError(s, err)
	return resp
}

// get sends a GET and wants a response.
func (s *story) get(path string) *http.Response {
	s.Helper()
	return s.send(s.request(http.MethodGet, path, nil))
}

// read reads a body to its end and closes it.
func (s *story) read(resp *http.Response) string {
	s.Helper()
	b, err := io.ReadAll(resp.Body)
	require.NoError(s, err)
	require.NoError(s, resp.Body.Close())
	return string(b)
}

// wantDials wants that so many connections were opened since the beginning.
func (s *story) wantDials(n int64) {
	s.Helper()
	assert.Equal(s, n, s.dials.Load(), "dials")
}

// eventually waits for a condition that another goroutine or the kernel brings about.
func (s *story) eventually(what string, cond func() bool) {
	s.Helper()
	require.Eventually(s, cond, 10*time.Second, time.Millisecond, what)
}

// mustGet sends a GET and wants a response.
func mustGet(t *testing.T, rt http.RoundTripper, url string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	resp, err := rt.RoundTrip(req)
	require.NoError(t, err)
	return resp
}

// For what another goroutine or the kernel brings about.
const (
	patience = 10 * time.Second
	tick     = time.Millisecond
)
