package transport_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/transport"
)

// A wiretap answers every connection itself, and notes what was dialed and written.
type wiretap struct {
	mu      sync.Mutex
	dialed  []string
	written bytes.Buffer
	served  sync.WaitGroup
}

func (w *wiretap) dial(_ context.Context, _, addr string) (net.Conn, error) {
	client, server := net.Pipe()
	w.mu.Lock()
	w.dialed = append(w.dialed, addr)
	w.mu.Unlock()
	w.served.Go(func() { w.answer(server) })
	return client, nil
}

func (w *wiretap) answer(c net.Conn) {
	defer c.Close()
	r := bufio.NewReader(io.TeeReader(c, w))
	for {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, req.Body)
		if _, err := io.WriteString(c, okResponse); err != nil {
			return
		}
	}
}

// Write notes what a client wrote.
func (w *wiretap) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.written.Write(p)
}

func (w *wiretap) seen() (dialed []string, written string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dialed, w.written.String()
}

// send sends a request over a transport on the tap and returns what became of it.
func (w *wiretap) send(t *testing.T, std bool, make func() *http.Request) (dialed []string, written string, err error) {
	base := &http.Transport{DialContext: w.dial}
	var rt roundTripper = base
	if !std {
		own := transport.From(base)
		defer own.Close()
		rt = own
	}
	req := make()
	before := snapshot(req)
	resp, err := rt.RoundTrip(req)
	if err == nil {
		_, err = io.Copy(io.Discard, resp.Body)
		assert.NoError(t, resp.Body.Close())
		assert.Same(t, req, resp.Request)
	}
	assert.Equal(t, before, snapshot(req), "the request was changed")
	rt.CloseIdleConnections()
	w.served.Wait()
	dialed, written = w.seen()
	return dialed, written, err
}

// snapshot is what of a request could be changed, its body aside.
func snapshot(req *http.Request) http.Request {
	c := *req.Clone(context.Background())
	c.Body, c.GetBody = nil, nil
	return c
}

// What is dialed and written for all sorts of requests is what net/http dials and writes, byte for byte.
func TestRequestsOnTheWire(t *testing.T) {
	for name, change := range map[string]func(*http.Request){
		"plain":                    func(*http.Request) {},
		"port 80":                  func(r *http.Request) { r.URL.Host = "example.com:80" },
		"another port":             func(r *http.Request) { r.URL.Host = "example.com:8080" },
		"empty port":               func(r *http.Request) { r.URL.Host = "example.com:" },
		"upper case host":          func(r *http.Request) { r.URL.Host = "EXAMPLE.com" },
		"IDNA":                     func(r *http.Request) { r.URL.Host = "bücher.example" },
		"IDNA with port":           func(r *http.Request) { r.URL.Host = "Bücher.example:81" },
		"IDNA in Host":             func(r *http.Request) { r.Host = "straße.example" },
		"IPv6":                     func(r *http.Request) { r.URL.Host = "[::1]" },
		"IPv6 with port":           func(r *http.Request) { r.URL.Host = "[::1]:81" },
		"IPv6 zone":                func(r *http.Request) { r.URL.Host = "[fe80::1%en0]" },
		"IPv6 zone with port":      func(r *http.Request) { r.URL.Host = "[fe80::1%en0]:81" },
		"Host":                     func(r *http.Request) { r.Host = "other.example" },
		"Host with a zone":         func(r *http.Request) { r.Host = "[fe80::1%25en0]:81" },
		"Host with CR LF":          func(r *http.Request) { r.Host = "other.example\r\nX: y" },
		"Host with a space":        func(r *http.Request) { r.Host = "other.example evil" },
		"Host with a path":         func(r *http.Request) { r.Host = "other.example/path" },
		"Host in the header":       func(r *http.Request) { r.Header.Set("Host", "ignored.example") },
		"user info":                func(r *http.Request) { r.URL.User = url.UserPassword("me", "secret") },
		"path and query":           func(r *http.Request) { r.URL.Path, r.URL.RawQuery = "/a b/ü", "q=1&r=%20" },
		"raw path":                 func(r *http.Request) { r.URL.Path, r.URL.RawPath = "/a/b", "/a%2Fb" },
		"empty path":               func(r *http.Request) { r.URL.Path = "" },
		"forced query":             func(r *http.Request) { r.URL.ForceQuery = true },
		"fragment":                 func(r *http.Request) { r.URL.Fragment = "f" },
		"two slashes":              func(r *http.Request) { r.URL.Path = "//a//b" },
		"opaque":                   func(r *http.Request) { r.URL.Opaque = "/opaque%2Fpath" },
		"opaque with a host":       func(r *http.Request) { r.URL.Opaque = "//other.example/path" },
		"control in the query":     func(r *http.Request) { r.URL.RawQuery = "a\nb" },
		"OPTIONS *":                func(r *http.Request) { r.Method, r.URL.Opaque = "OPTIONS", "*" },
		"OPTIONS path *":           func(r *http.Request) { r.Method, r.URL.Path = "OPTIONS", "*" },
		"no method":                func(r *http.Request) { r.Method = "" },
		"lower case method":        func(r *http.Request) { r.Method = "get" },
		"own method":               func(r *http.Request) { r.Method = "BREW" },
		"HEAD":                     func(r *http.Request) { r.Method = "HEAD" },
		"DELETE":                   func(r *http.Request) { r.Method = "DELETE" },
		"POST without a body":      func(r *http.Request) { r.Method = "POST" },
		"no User-Agent":            func(r *http.Request) { r.Header["User-Agent"] = nil },
		"empty User-Agent":         func(r *http.Request) { r.Header.Set("User-Agent", "") },
		"two User-Agents":          func(r *http.Request) { r.Header["User-Agent"] = []string{"a", "b"} },
		"own Accept-Encoding":      func(r *http.Request) { r.Header.Set("Accept-Encoding", "br") },
		"Range":                    func(r *http.Request) { r.Header.Set("Range", "bytes=0-1") },
		"Close":                    func(r *http.Request) { r.Close = true },
		"Connection: close":        func(r *http.Request) { r.Header.Set("Connection", "close") },
		"Close and Connection":     func(r *http.Request) { r.Close = true; r.Header.Set("Connection", "close") },
		"Content-Length ignored":   func(r *http.Request) { r.Header.Set("Content-Length", "17") },
		"Transfer-Encoding header": func(r *http.Request) { r.Header.Set("Transfer-Encoding", "chunked") },
		"Trailer header":           func(r *http.Request) { r.Header.Set("Trailer", "X") },
		"field order and values": func(r *http.Request) {
			r.Header["B"], r.Header["a"], r.Header["C"] = []string{"2", "3"}, []string{"1"}, nil
		},
		"white space in a value": func(r *http.Request) { r.Header.Set("A", "  b\tc ") },
		"bad value":              func(r *http.Request) { r.Header.Set("A", "b\r\nC: d") },
		"bad name":               func(r *http.Request) { r.Header["A b"] = []string{"c"} },
		"empty name":             func(r *http.Request) { r.Header[""] = []string{"c"} },
		"bad method":             func(r *http.Request) { r.Method = "GET /evil" },
		"no host":                func(r *http.Request) { r.URL.Host, r.Host = "", "" },
		"no host but Host":       func(r *http.Request) { r.URL.Host = "" },
		"other scheme":           func(r *http.Request) { r.URL.Scheme = "ftp" },
		"no scheme":              func(r *http.Request) { r.URL.Scheme = "" },
		"upper case scheme":      func(r *http.Request) { r.URL.Scheme = "HTTP" },
		"nil header":             func(r *http.Request) { r.Header = nil },
		"bad trailer":            func(r *http.Request) { r.Trailer = http.Header{"Content-Length": {"1"}} },
		"bad trailer, chunked": func(r *http.Request) {
			body("x")(r)
			r.ContentLength = -1
			r.Trailer = http.Header{"Content-Length": {"1"}}
		},
		"bad trailer value":      func(r *http.Request) { r.Trailer = http.Header{"A": {"\n"}} },
		"body":                   body("hello"),
		"body, chunked":          func(r *http.Request) { body("hello")(r); r.TransferEncoding = []string{"chunked"} },
		"body, other coding":     func(r *http.Request) { body("hello")(r); r.TransferEncoding = []string{"identity"} },
		"body of unknown length": func(r *http.Request) { body("hello")(r); r.ContentLength = -1 },
		"body, length 0":         func(r *http.Request) { body("hello")(r); r.ContentLength = 0 },
		"empty body, length 0":   func(r *http.Request) { body("")(r); r.ContentLength = 0 },
		"empty body, length -1":  func(r *http.Request) { body("")(r); r.ContentLength = -1 },
		"NoBody":                 func(r *http.Request) { r.Method, r.Body = "POST", http.NoBody },
		"NoBody, chunked": func(r *http.Request) {
			r.Method, r.Body, r.TransferEncoding = "POST", http.NoBody, []string{"chunked"}
		},
		"NoBody, identity": func(r *http.Request) {
			r.Method, r.Body, r.TransferEncoding = "DELETE", http.NoBody, []string{"identity"} // how a caller asks for a length of 0
		},
		"NoBody, identity, GET": func(r *http.Request) { r.Body, r.TransferEncoding = http.NoBody, []string{"identity"} },
		"nil body, identity":    func(r *http.Request) { r.Method, r.TransferEncoding = "DELETE", []string{"identity"} },
		"NUL in a value":        func(r *http.Request) { r.Header.Set("A", "\x00") },
		"DEL in a value":        func(r *http.Request) { r.Header.Set("A", "\x7f") },
		"LF in User-Agent":      func(r *http.Request) { r.Header.Set("User-Agent", "a\nb") },
		"LF in a method":        func(r *http.Request) { r.Method = "GET\nA" },
		"method in UTF-8":       func(r *http.Request) { r.Method = "ÄB" },
		"NoBody with a length":  func(r *http.Request) { r.Method, r.Body, r.ContentLength = "POST", http.NoBody, 3 },
		"length without a body": func(r *http.Request) { r.Method, r.ContentLength = "POST", 3 },
		"GET with a body":       func(r *http.Request) { body("hello")(r); r.Method = "GET" },
		"body too short":        func(r *http.Request) { body("hello")(r); r.ContentLength = 9 },
		"body too long":         func(r *http.Request) { body("hello")(r); r.ContentLength = 3 },
		"trailer":               func(r *http.Request) { body("hello")(r); r.ContentLength = -1; r.Trailer = http.Header{"X": {"y"}} },
		"trailer, length known": func(r *http.Request) { body("hello")(r); r.Trailer = http.Header{"X": {"y"}} },
	} {
		t.Run(name, func(t *testing.T) {
			make := func() *http.Request {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://example.com/path", nil)
				require.NoError(t, err)
				req.Host = ""
				change(req)
				return req
			}
			var taps [2]wiretap
			dialed, written, err := taps[0].send(t, true, make)
			ourDialed, ourWritten, ourErr := taps[1].send(t, false, make)
			if err != nil || ourErr != nil {
				assert.Error(t, err)
				assert.Error(t, ourErr)
				t.Logf("net/http: %v\nours: %v", err, ourErr)
				return // how far net/http came before it refused is another matter
			}
			assert.Equal(t, dialed, ourDialed, "dialed")
			assert.Equal(t, written, ourWritten, "written")
		})
	}
}

// A body of unknown length is sent in chunks whatever coding the caller asks for: without any framing, as net/http sends it, a server would
// take it for the next request.
func TestBodiesOfUnknownLengthAreFramed(t *testing.T) {
	for _, coding := range [][]string{{"identity"}, {"gzip"}, {"Chunked"}, {"gzip", "chunked"}} {
		var tap wiretap
		_, written, err := tap.send(t, false, func() *http.Request {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://example.com/path", nil)
			require.NoError(t, err)
			body("hello")(req)
			req.ContentLength, req.TransferEncoding = -1, coding
			return req
		})
		require.NoError(t, err, "%q", coding)
		head, sent, _ := strings.Cut(written, "\r\n\r\n")
		assert.Contains(t, head, "Transfer-Encoding: chunked", "%q", coding)
		assert.Equal(t, "5\r\nhello\r\n0\r\n\r\n", sent, "%q", coding)
	}
}

// The punycode form of a host is what a trace is told and the server's name in TLS.
func TestIDNAInTLS(t *testing.T) {
	var named atomic.Value
	for _, std := range []bool{true, false} {
		s := &story{T: t, server: httptest.NewUnstartedServer(http.HandlerFunc(echo))}
		s.server.TLS = &tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			named.Store(hello.ServerName)
			return nil, nil
		}}
		s.server.StartTLS()
		defer s.server.Close()
		s.connect(std, func(tr *http.Transport) {
			tr.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
				return s.dial(ctx, network, s.server.Listener.Addr().String())
			}
		})
		var r recorder
		req := s.request(http.MethodGet, "/", nil)
		req.URL.Host = "bücher.example"
		trace := &httptrace.ClientTrace{GetConn: func(addr string) { r.note("%s", addr) }}
		_, err := s.rt.RoundTrip(req.WithContext(httptrace.WithClientTrace(req.Context(), trace)))
		var name x509.HostnameError
		require.ErrorAs(s, err, &name) // the certificate is for another
		assert.Equal(s, "xn--bcher-kva.example", name.Host)
		assert.Equal(s, "xn--bcher-kva.example", named.Swap(""))
		assert.Equal(s, []string{"xn--bcher-kva.example:443"}, r.list())
	}
}

func body(s string) func(*http.Request) {
	return func(r *http.Request) {
		r.Method = "POST"
		r.Body = io.NopCloser(strings.NewReader(s))
		r.ContentLength = int64(len(s))
	}
}
