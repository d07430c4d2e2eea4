package transport_test

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/transport"
)

// A recorder notes the events of httptrace in their order.
type recorder struct {
	mu     sync.Mutex
	events []string
}

func (r *recorder) note(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, fmt.Sprintf(format, args...))
}

func (r *recorder) list() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.events...)
}

func (r *recorder) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GetConn:              func(string) { r.note("GetConn") },
		GotConn:              func(i httptrace.GotConnInfo) { r.note("GotConn reused %v idle %v %T", i.Reused, i.WasIdle, i.Conn) },
		PutIdleConn:          func(err error) { r.note("PutIdleConn %v", err == nil) },
		GotFirstResponseByte: func() { r.note("GotFirstResponseByte") },
		Got100Continue:       func() { r.note("Got100Continue") },
		Got1xxResponse: func(code int, _ textproto.MIMEHeader) error {
			r.note("Got1xxResponse %d", code)
			return nil
		},
		DNSStart:          func(httptrace.DNSStartInfo) { r.note("DNSStart") },
		DNSDone:           func(httptrace.DNSDoneInfo) { r.note("DNSDone") },
		ConnectStart:      func(network, _ string) { r.note("ConnectStart %s", network) },
		ConnectDone:       func(_, _ string, err error) { r.note("ConnectDone %v", err == nil) },
		TLSHandshakeStart: func() { r.note("TLSHandshakeStart") },
		TLSHandshakeDone:  func(_ tls.ConnectionState, err error) { r.note("TLSHandshakeDone %v", err) },
		WroteHeaderField:  func(name string, values []string) { r.note("WroteHeaderField %s %q", name, values) },
		WroteHeaders:      func() { r.note("WroteHeaders") },
		Wait100Continue:   func() { r.note("Wait100Continue") },
		WroteRequest:      func(i httptrace.WroteRequestInfo) { r.note("WroteRequest %v", i.Err) },
	}
}

// Every hook of httptrace is called as net/http calls it: as often, in the same order, with the same values. Each row runs its
// requests on one connection, and on both transports against one server.
func TestTraceLikeStd(t *testing.T) {
	handler := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/1xx" {
			w.WriteHeader(http.StatusEarlyHints)
		}
		echo(w, r)
	}
	type step struct{ method, path, body, expect string }
	for name, steps := range map[string][]step{
		"GET twice":                  {{"GET", "/", "", ""}, {"GET", "/", "", ""}},
		"HEAD":                       {{"HEAD", "/", "", ""}},
		"POST, small":                {{"POST", "/", "hello", ""}},
		"POST, large":                {{"POST", "/", strings.Repeat("x", 200000), ""}},
		"early hints":                {{"GET", "/1xx", "", ""}},
		"expect":                     {{"POST", "/", "hello", "100-continue"}},
		"a fresh GET, POST after it": {{"GET", "/", "", ""}, {"POST", "/", "hello", ""}},
	} {
		for _, mode := range []string{"http", "https", "http2"} {
			t.Run(name+" "+mode, func(t *testing.T) {
				server := httptest.NewUnstartedServer(http.HandlerFunc(handler))
				if server.EnableHTTP2 = mode == "http2"; mode == "http" {
					server.Start()
				} else {
					server.StartTLS()
				}
				defer server.Close()
				std := &http.Transport{TLSClientConfig: trust(server), ExpectContinueTimeout: 1 << 40, ForceAttemptHTTP2: true}
				last := map[bool]string{false: "PutIdleConn true", true: "WroteRequest <nil>"}[server.EnableHTTP2] // which HTTP/2 does not have
				defer std.CloseIdleConnections()
				ours := transport.From(std)
				defer ours.Close()
				for i, s := range steps {
					var lists [2][]string
					for j, rt := range []http.RoundTripper{std, ours} {
						var r recorder
						ctx := httptrace.WithClientTrace(t.Context(), r.trace())
						status, _, err := do(t, rt, s.method, server.URL+s.path, s.body, func(req *http.Request) {
							*req = *req.WithContext(ctx)
							if s.expect != "" {
								req.Header.Set("Expect", s.expect)
							}
						})
						require.NoError(t, err)
						require.Equal(t, http.StatusOK, status)
						require.Eventually(t, func() bool { return slices.Contains(r.list(), last) }, patience, tick)
						lists[j] = r.list()
					}
					if s.expect != "" || len(s.body) > 1000 || server.EnableHTTP2 {
						// The body is written beside the wait for the answer: its events have no fixed place.
						assert.ElementsMatch(t, lists[0], lists[1], "request %d", i)
					} else {
						assert.Equal(t, lists[0], lists[1], "request %d", i)
					}
				}
			})
		}
	}
}
