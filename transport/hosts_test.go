package transport_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/transport"
)

// A sending is what is seen of a request from outside: where it was to go, and what came there.
type sending struct {
	refused bool
	getConn string // to whom, for httptrace
	dialed  string // address
	wire    string // what came first on the connection
}

// A wireTap answers each connection's first request and keeps its bytes.
type wireTap struct {
	serving sync.WaitGroup

	mu   sync.Mutex // guards seen
	seen sending
}

// dial returns a connection to the tap, whatever the address.
func (w *wireTap) dial(_ context.Context, _, addr string) (net.Conn, error) {
	w.mu.Lock()
	w.seen.dialed = addr
	w.mu.Unlock()
	client, server := net.Pipe()
	w.serving.Go(func() { w.serve(server) })
	return client, nil
}

func (w *wireTap) serve(c net.Conn) {
	defer c.Close()
	var wire bytes.Buffer
	req, err := http.ReadRequest(bufio.NewReader(io.TeeReader(c, &wire)))
	if err == nil {
		_, _ = io.Copy(io.Discard, req.Body)
	}
	w.mu.Lock()
	w.seen.wire = wire.String()
	w.mu.Unlock()
	_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
}

// tap sends a request with rt's settings and returns what is seen of it, and the error.
func tap(t *testing.T, std bool, req *http.Request, settings ...setting) (sending, error) {
	var w wireTap
	base := &http.Transport{DialContext: w.dial}
	for _, set := range settings {
		set(base)
	}
	var rt http.RoundTripper = base
	end := base.CloseIdleConnections
	if !std {
		own := transport.From(base)
		rt, end = own, func() { assert.NoError(t, own.Close()) }
	}
	resp, err := rt.RoundTrip(req.WithContext(httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		GetConn: func(hostPort string) { w.seen.getConn = hostPort },
	})))
	if err == nil {
		assert.NoError(t, resp.Body.Close())
	}
	end()
	w.serving.Wait()
	w.seen.refused = err != nil
	return w.seen, err
}

// sameOnTheWire sends each request from net/http and from ours and wants no difference.
func sameOnTheWire(t *testing.T, rows map[string]func(*http.Request), settings ...setting) {
	for name, change := range rows {
		t.Run(name, func(t *testing.T) {
			var seen [2]sending
			var errs [2]error
			for i, std := range []bool{true, false} {
				body := &countedBody{Reader: strings.NewReader("hello")}
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://a.example/p?q", body)
				require.NoError(t, err)
				change(req)
				seen[i], errs[i] = tap(t, std, req, settings...)
				if req.Body == body {
					require.Eventually(t, func() bool { return body.closes.Load() == 1 }, patience, tick, "closed")
				}
			}
			assert.Equal(t, seen[0], seen[1], "net/http: %v; ours: %v", errs[0], errs[1])
		})
	}
}

func to(host string) func(*http.Request) {
	return func(r *http.Request) { r.URL.Host, r.Host = host, "" }
}

func named(host string) func(*http.Request) { return func(r *http.Request) { r.Host = host } }

func opaque(s string) func(*http.Request) { return func(r *http.Request) { r.URL.Opaque = s } }

// Hosts beyond ASCII, IPv6 literals with zones and names of the caller's own go into the Host field, into the address and into
// the trace as on net/http; what could not stand in a Host field never gets there.
func TestHostsOnTheWire(t *testing.T) {
	sameOnTheWire(t, map[string]func(*http.Request){
		"IDNA":                  to("bücher.example"),
		"IDNA with a port":      to("bücher.example:8080"),
		"IDNA in capitals":      to("BÜCHER.Example"),
		"IDNA, sharp s":         to("faß.example"),
		"IDNA, a symbol":        to("☃.example"),
		"IDNA, full width":      to("ａ.example"),
		"IDNA, refused":         to("\u00ad\u200d.example"),
		"IDNA with a space":     to("bü cher.example"),
		"IDNA, empty label":     to("bü..example"),
		"IDNA, bad port":        to("bü.example:x"),
		"punycode":              to("xn--bcher-kva.example"),
		"capitals":              to("A.Example:80"),
		"empty port":            to("a.example:"),
		"dot":                   to("a.example."),
		"underscore":            to("_a_.example"),
		"IPv4":                  to("127.0.0.1:81"),
		"IPv6":                  to("[::1]"),
		"IPv6 with a port":      to("[::1]:8080"),
		"IPv6 with its port":    to("[::1]:80"),
		"IPv6 with a zone":      to("[fe80::1%eth0]"),
		"IPv6, zone and port":   to("[fe80::1%eth0]:8080"),
		"IPv6, port only colon": to("[::1]:"),
		"a space":               to("a b.example"),
		"a line break":          to("a.example\r\nEvil: yes"),
		"a slash":               to("a.example/x"),

		"Host":                  named("b.example"),
		"Host with a port":      named("b.example:99"),
		"Host, IDNA":            named("bücher.example:1"),
		"Host, zone":            named("[fe80::1%eth0]:1"),
		"Host, zone, no end":    named("[fe80::1%eth0"),
		"Host with a space":     named("b example"),
		"Host with CR LF":       named("b.example\r\nEvil: yes"),
		"Host with LF":          named("b.example\nEvil: yes"),
		"Host with CR":          named("b.example\rEvil: yes"),
		"Host with NUL":         named("b\x00.example"),
		"Host with a slash":     named("b.example/x"),
		"Host, broken UTF-8":    named("b\xff.example"),
		"Host, IDNA and CR LF":  named("bücher.example\r\nEvil: yes"),
		"Host, socket's path":   named("/run/socket name"),
		"Host field in Header":  func(r *http.Request) { r.Header["Host"] = []string{"b.example"} },
		"user info in the URL":  func(r *http.Request) { r.URL.Host = "u:p@a.example"; r.Host = "" },
		"user info beside host": func(r *http.Request) { r.URL.User = urlUser },
	})
}

// The request-target is the URL's path and query, its opaque part, or "*"; with control characters nothing is sent.
func TestTargetsOnTheWire(t *testing.T) {
	sameOnTheWire(t, map[string]func(*http.Request){
		"opaque with a host":    opaque("//b.example/a%2fb"),
		"opaque path":           opaque("/a%2fb c"),
		"opaque":                opaque("b:c"),
		"opaque, no host":       func(r *http.Request) { r.URL.Host, r.URL.Opaque = "", "//b.example/" },
		"opaque with CR LF":     opaque("/a HTTP/1.1\r\nEvil: yes\r\n"),
		"opaque with DEL":       opaque("/a\x7f"),
		"opaque with a space":   opaque("/a b"),
		"star":                  func(r *http.Request) { r.Method, r.URL.Path, r.URL.RawQuery = "OPTIONS", "*", "" },
		"opaque star":           func(r *http.Request) { r.Method, r.URL.Opaque, r.URL.RawQuery = "OPTIONS", "*", "" },
		"no path":               func(r *http.Request) { r.URL.Path = "" },
		"no slash":              func(r *http.Request) { r.URL.Path = "a/b" },
		"path to be escaped":    func(r *http.Request) { r.URL.Path = "/a b\r\nc/ü?#" },
		"raw path":              func(r *http.Request) { r.URL.Path, r.URL.RawPath = "/a/b", "/a%2Fb" },
		"wrong raw path":        func(r *http.Request) { r.URL.Path, r.URL.RawPath = "/a/b", "/evil\r\n" },
		"two slashes":           func(r *http.Request) { r.URL.Path = "//b.example/c" },
		"query with CR LF":      func(r *http.Request) { r.URL.RawQuery = "a\r\nEvil: yes" },
		"query with a space":    func(r *http.Request) { r.URL.RawQuery = "a b" },
		"empty query":           func(r *http.Request) { r.URL.RawQuery, r.URL.ForceQuery = "", true },
		"fragment":              func(r *http.Request) { r.URL.Fragment = "f" },
		"no method":             func(r *http.Request) { r.Method = "" },
		"method in small":       func(r *http.Request) { r.Method = "post" },
		"method of its own":     func(r *http.Request) { r.Method = "M-SEARCH" },
		"CONNECT":               func(r *http.Request) { r.Method, r.URL.Path, r.Body = "CONNECT", "", nil },
		"CONNECT elsewhere":     func(r *http.Request) { r.Method, r.URL.Path, r.Host, r.Body = "CONNECT", "", "b:1", nil },
		"CONNECT with opaque":   func(r *http.Request) { r.Method, r.URL.Path, r.URL.Opaque, r.Body = "CONNECT", "", "c:2", nil },
		"CONNECT with a path":   func(r *http.Request) { r.Method, r.Body = "CONNECT", nil },
		"a port out of range":   to("a.example:99999"),
		"the scheme in capital": func(r *http.Request) { r.URL.Scheme = "HTTP" },
	})
}
