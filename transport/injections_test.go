package transport_test

import (
	"bufio"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/transport"
)

// An injection is a request with something in it that would begin another line, field or request on the wire.
type injection struct {
	part, name, rule string
	change           func(*http.Request)
	proxy            string // scheme of the request that goes through a proxy; "" for none
	sent             string // what is sent for it, CR LF before and behind where that matters
	refused          string // what the error says instead
}

func (in injection) result() string {
	switch {
	case in.refused != "":
		return "refused, nothing is sent"
	case in.sent == nothingElse, in.sent == noTrailer:
		return "sent without it"
	}
	return "sent as `" + strings.Trim(in.sent, "\r\n") + "`"
}

// nothingElse is what is sent where what was injected is left out.
const (
	nothingElse = "\r\n\r\n"
	noTrailer   = "\r\n0\r\n\r\n"
)

func injections() []injection {
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header[name] = []string{value} }
	}
	target := func(change func(*url.URL)) func(*http.Request) { return func(r *http.Request) { change(r.URL) } }
	const target3 = "RFC 9112 3.2"
	return []injection{
		{part: "method", name: "CR LF", rule: "RFC 9110 9.1", change: func(r *http.Request) { r.Method = "GET / HTTP/1.1\r\nEvil: x\r\n\r\nGET" }, refused: "method"},
		{part: "method", name: "a space", rule: "RFC 9110 9.1", change: func(r *http.Request) { r.Method = "GET /evil" }, refused: "method"},
		{part: "path", name: "CR LF", rule: target3, change: target(func(u *url.URL) { u.Path = "/ HTTP/1.1\r\nEvil: x" }), sent: "GET /%20HTTP/1.1%0D%0AEvil:%20x HTTP/1.1\r\n"},
		{part: "path", name: "CR LF, said to be escaped", rule: target3, change: target(func(u *url.URL) { u.Path, u.RawPath = "/a", "/a\r\nEvil: x" }), sent: "GET /a HTTP/1.1\r\n"},
		{part: "query", name: "CR LF", rule: target3, change: target(func(u *url.URL) { u.RawQuery = "a HTTP/1.1\r\nEvil: x" }), refused: "request target"},
		{part: "query", name: "NUL", rule: target3, change: target(func(u *url.URL) { u.RawQuery = "a\x00" }), refused: "request target"},
		{part: "query", name: "a space", rule: target3, change: target(func(u *url.URL) { u.RawQuery = "a HTTP/1.0" }), sent: "GET /path?a%20HTTP/1.0 HTTP/1.1\r\n"},
		{part: "opaque URL", name: "CR LF", rule: target3, change: target(func(u *url.URL) { u.Opaque = "/\r\nEvil: x" }), refused: "request target"},
		{part: "opaque URL", name: "a space", rule: target3, change: target(func(u *url.URL) { u.Opaque = "/a HTTP/1.0" }), sent: "GET /a%20HTTP/1.0 HTTP/1.1\r\n"},
		{part: "CONNECT", name: "a space in its target", rule: target3, change: func(r *http.Request) {
			r.Method, r.URL.Path, r.URL.Opaque = http.MethodConnect, "", "evil:1 HTTP/1.0"
		}, refused: "target of a CONNECT"},
		{part: "Host", name: "CR LF", rule: "RFC 9112 3.2", change: func(r *http.Request) { r.Host = "example.com\r\nEvil: x" }, sent: "\r\nHost: \r\n"},
		{part: "Host", name: "a space", rule: "RFC 9112 3.2", change: func(r *http.Request) { r.Host = "example.com evil" }, sent: "\r\nHost: \r\n"},
		{part: "Host", name: "a path", rule: "RFC 9112 3.2", change: func(r *http.Request) { r.Host = "example.com/evil" }, sent: "\r\nHost: \r\n"},
		{part: "Host", name: "CR LF, to a proxy", rule: "RFC 9112 3.2", proxy: "http", change: func(r *http.Request) { r.Host = "example.com\r\nEvil: x" }, refused: "Host"},
		{part: "Host", name: "a second, in a field", rule: "RFC 9112 3.2", change: header("Host", "evil"), sent: "\r\nHost: example.com\r\n"},
		{part: "Host", name: "a second, in a field in other case", rule: "RFC 9112 3.2", change: header("hOST", "evil"), sent: "\r\nHost: example.com\r\n"},
		{part: "URL's host", name: "CR LF, through a tunnel", rule: "RFC 9110 9.3.6", proxy: "https", change: target(func(u *url.URL) { u.Host = "example.com\r\nEvil: x" }), refused: "invalid"},
		{part: "URL's host", name: "a space, through a tunnel", rule: "RFC 9110 9.3.6", proxy: "https", change: target(func(u *url.URL) { u.Host = "evil HTTP/1.0" }), refused: "invalid host"},
		{part: "field name", name: "CR LF", rule: "RFC 9110 5.1", change: header("A: b\r\nEvil", "x"), refused: "field name"},
		{part: "field name", name: "a colon", rule: "RFC 9110 5.1", change: header("Evil: x", "y"), refused: "field name"},
		{part: "field name", name: "a space behind", rule: "RFC 9112 5.1", change: header("Transfer-Encoding ", "chunked"), refused: "field name"},
		{part: "field name", name: "empty", rule: "RFC 9110 5.1", change: header("", "x"), refused: "field name"},
		{part: "field value", name: "CR LF", rule: "RFC 9110 5.5", change: header("A", "b\r\nEvil: x"), refused: "field value"},
		{part: "field value", name: "CR", rule: "RFC 9110 5.5", change: header("A", "b\rEvil: x"), refused: "field value"},
		{part: "field value", name: "LF", rule: "RFC 9110 5.5", change: header("A", "b\nEvil: x"), refused: "field value"},
		{part: "field value", name: "a fold", rule: "RFC 9112 5.2", change: header("A", "b\r\n Evil: x"), refused: "field value"},
		{part: "field value", name: "NUL", rule: "RFC 9110 5.5", change: header("A", "b\x00"), refused: "field value"},
		{part: "field value", name: "LF in User-Agent", rule: "RFC 9110 5.5", change: header("User-Agent", "a\nEvil: x"), refused: "field value"},
		{part: "framing", name: "a length in a field", rule: "RFC 9112 6.2", change: header("Content-Length", "50"), sent: nothingElse},
		{part: "framing", name: "a length in a field in other case", rule: "RFC 9112 6.2", change: header("content-length", "50"), sent: nothingElse},
		{part: "framing", name: "a coding in a field", rule: "RFC 9112 6.1", change: header("Transfer-Encoding", "chunked"), sent: nothingElse},
		{part: "framing", name: "a coding in a field in other case", rule: "RFC 9112 6.1", change: func(r *http.Request) {
			body("0\r\n\r\nGET /evil HTTP/1.1\r\n\r\n")(r)
			r.Header["TRANSFER-encoding"] = []string{"chunked"}
		}, sent: "\r\nContent-Length: 27\r\n"},
		{part: "framing", name: "a body longer than its length", rule: "RFC 9110 8.6", change: func(r *http.Request) {
			body("abc\r\nGET /evil HTTP/1.1\r\n\r\n")(r)
			r.ContentLength = 3
		}, refused: "longer"},
		{part: "framing", name: "a coding that is none", rule: "RFC 9112 6.1", change: func(r *http.Request) {
			body("hello")(r)
			r.TransferEncoding = []string{"x\r\nEvil: y"}
		}, sent: "\r\nContent-Length: 5\r\n"},
		{part: "trailer", name: "CR LF in a name", rule: "RFC 9110 5.1", change: trailer("A\r\nEvil", "x"), refused: "field name"},
		{part: "trailer", name: "CR LF in a value", rule: "RFC 9110 5.5", change: trailer("A", "b\r\nEvil: x"), refused: "field value"},
		{part: "trailer", name: "a length", rule: "RFC 9110 6.5.1", change: trailer("content-length", "5"), refused: "trailer"},
		{part: "trailer", name: "CR LF, set while the body is read", rule: "RFC 9110 5.5", change: lateTrailer("A", "b\r\nEvil: x"), sent: "\r\nA: b  Evil: x\r\n"},
		{part: "trailer", name: "NUL, set while the body is read", rule: "RFC 9110 5.5", change: lateTrailer("A", "b\x00c"), sent: "\r\nA: b c\r\n"},
		{part: "trailer", name: "a name that is none, set while the body is read", rule: "RFC 9110 5.1", change: lateTrailer("A\r\nEvil", "x"), sent: noTrailer},
		{part: "trailer", name: "a length, set while the body is read", rule: "RFC 9110 6.5.1", change: lateTrailer("content-LENGTH", "5"), sent: noTrailer},
	}
}

func trailer(name, value string) func(*http.Request) {
	return func(r *http.Request) {
		body("hello")(r)
		r.ContentLength = -1
		r.Trailer = http.Header{name: {value}}
	}
}

// lateTrailer sets a trailer field at the end of the body, where nobody checks it.
func lateTrailer(name, value string) func(*http.Request) {
	return func(r *http.Request) {
		r.Method, r.ContentLength, r.Trailer = http.MethodPost, -1, http.Header{"Announced": nil}
		r.Body = io.NopCloser(io.MultiReader(strings.NewReader("hello"), readerFunc(func([]byte) (int, error) {
			r.Trailer[name] = []string{value}
			return 0, io.EOF
		})))
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// TestInjections puts line breaks and framing into every part of a request that its caller decides on. It is refused before anything is
// written, or one request is sent, which ends where it should and has no field but those that were meant.
func TestInjections(t *testing.T) {
	for _, in := range injections() {
		t.Run(in.part+", "+in.name, func(t *testing.T) {
			var tap wiretap
			tr := &transport.Transport{DialContext: tap.dial, ResponseHeaderTimeout: 5 * time.Second}
			if in.proxy != "" {
				tr.Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: "proxy.example"})
			}
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://example.com/path", nil)
			require.NoError(t, err)
			if in.proxy != "" {
				req.URL.Scheme = in.proxy
			}
			req.Host = ""
			in.change(req)
			resp, err := tr.RoundTrip(req)
			if err == nil {
				_, err = io.Copy(io.Discard, resp.Body)
				assert.NoError(t, resp.Body.Close())
			}
			assert.NoError(t, tr.Close())
			tap.served.Wait()
			_, written := tap.seen()
			if in.refused != "" {
				require.ErrorContains(t, err, in.refused)
				assert.NotContains(t, written, "vil")
				return
			}
			require.NoError(t, err)
			assert.Contains(t, written, in.sent)
			r := bufio.NewReader(strings.NewReader(written))
			sent, err := http.ReadRequest(r)
			require.NoError(t, err)
			_, err = io.Copy(io.Discard, sent.Body)
			require.NoError(t, err)
			assert.NotContains(t, sent.Header, "Evil")
			assert.NotContains(t, sent.Trailer, "Evil")
			assert.NotContains(t, sent.Host, "evil ")
			_, err = r.ReadByte()
			assert.Equal(t, io.EOF, err, "there is more than one request")
		})
	}
}
