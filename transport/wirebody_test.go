package transport_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var urlUser = url.UserPassword("user", "secret")

func headed(name string, values ...string) func(*http.Request) {
	return func(r *http.Request) { r.Header[name] = values }
}

func sized5(n int64, encoding ...string) func(*http.Request) {
	return func(r *http.Request) { r.ContentLength, r.TransferEncoding = n, encoding }
}

func bodiless(method string, body io.ReadCloser, n int64, encoding ...string) func(*http.Request) {
	return func(r *http.Request) {
		r.Method, r.Body, r.ContentLength, r.TransferEncoding = method, body, n, encoding
	}
}

// Fields that the transport decides on are not taken from the caller's header, and the rest goes out as on net/http.
func TestFieldsOnTheWire(t *testing.T) {
	sameOnTheWire(t, map[string]func(*http.Request){
		"no User-Agent":              headed("User-Agent"),
		"empty User-Agent":           headed("User-Agent", ""),
		"several User-Agents":        headed("User-Agent", "a", "b"),
		"an empty User-Agent first":  headed("User-Agent", "", "b"),
		"padded User-Agent":          headed("User-Agent", "  a\tb  "),
		"User-Agent of blanks":       headed("User-Agent", "  "),
		"user-agent in small":        headed("user-agent", "a"),
		"Host":                       headed("Host", "b.example", "c.example"),
		"host in small":              headed("host", "b.example"),
		"Content-Length":             headed("Content-Length", "1", "2"),
		"Transfer-Encoding":          headed("Transfer-Encoding", "gzip", "chunked"),
		"Trailer":                    headed("Trailer", "A"),
		"several values":             headed("A", "b", "", " c "),
		"no values":                  headed("A"),
		"name in small":              headed("x-a", "b"),
		"bytes beyond ASCII":         headed("A", "ü\xff"),
		"Connection: close":          headed("Connection", "close"),
		"Connection: keep-alive":     headed("Connection", "keep-alive"),
		"Connection: Close, a":       headed("Connection", "a, Close"),
		"Close":                      func(r *http.Request) { r.Close = true },
		"Close twice":                func(r *http.Request) { r.Close = true; r.Header.Set("Connection", "close") },
		"Close and keep-alive":       func(r *http.Request) { r.Close = true; r.Header.Set("Connection", "keep-alive") },
		"upgrade":                    func(r *http.Request) { r.Header.Set("Connection", "Upgrade"); r.Header.Set("Upgrade", "x") },
		"Close and upgrade":          func(r *http.Request) { r.Close = true; r.Header.Set("Connection", "Upgrade") },
		"Accept-Encoding":            headed("Accept-Encoding", "br"),
		"empty Accept-Encoding":      headed("Accept-Encoding", ""),
		"Accept-Encoding, no values": headed("Accept-Encoding"),
		"Range":                      headed("Range", "bytes=0-1"),
		"HEAD":                       bodiless("HEAD", nil, 0),
	})
	sameOnTheWire(t, map[string]func(*http.Request){
		"plain, no keep-alive":              func(*http.Request) {},
		"Close, no keep-alive":              func(r *http.Request) { r.Close = true },
		"Connection: close, no keep-alive":  headed("Connection", "close"),
		"Connection: Upgrade and no target": headed("Connection", "Upgrade"),
	}, func(tr *http.Transport) { tr.DisableKeepAlives, tr.DisableCompression = true, true })
}

// How a body is framed follows from ContentLength, TransferEncoding and Body as on net/http.
func TestBodiesOnTheWire(t *testing.T) {
	sameOnTheWire(t, map[string]func(*http.Request){
		"as announced":            sized5(5),
		"unknown, 0":              sized5(0),
		"unknown, -1":             sized5(-1),
		"unknown, -7":             sized5(-7),
		"chunked by the caller":   sized5(5, "chunked"),
		"chunked, unknown":        sized5(-1, "chunked"),
		"chunked, twice":          sized5(5, "chunked", "chunked"),
		"identity":                sized5(5, "identity"),
		"another coding":          sized5(5, "gzip", "chunked"),
		"nil body":                bodiless("POST", nil, 0),
		"nil body, a length":      bodiless("POST", nil, 5),
		"nil body, -1":            bodiless("POST", nil, -1),
		"nil body, chunked":       bodiless("POST", nil, 0, "chunked"),
		"NoBody":                  bodiless("POST", http.NoBody, 0),
		"NoBody, a length":        bodiless("POST", http.NoBody, 5),
		"NoBody, -1":              bodiless("POST", http.NoBody, -1),
		"NoBody, chunked":         bodiless("POST", http.NoBody, 0, "chunked"),
		"GET, nil body":           bodiless("GET", nil, 0),
		"GET, NoBody":             bodiless("GET", http.NoBody, 0),
		"GET, NoBody, chunked":    bodiless("GET", http.NoBody, 0, "chunked"),
		"GET, empty body":         bodiless("GET", io.NopCloser(strings.NewReader("")), -1),
		"GET, empty body, 0":      bodiless("GET", io.NopCloser(strings.NewReader("")), 0),
		"POST, empty body":        bodiless("POST", io.NopCloser(strings.NewReader("")), -1),
		"POST, empty, chunked":    bodiless("POST", io.NopCloser(strings.NewReader("")), 0, "chunked"),
		"DELETE, a body, unknown": func(r *http.Request) { r.Method, r.ContentLength = "DELETE", -1 },
		"PATCH without a body":    bodiless("PATCH", nil, 0),
		"PUT without a body":      bodiless("PUT", nil, 0),
		"DELETE without a body":   bodiless("DELETE", nil, 0),
		"of its own, no body":     bodiless("X-OWN", nil, 0),
		"of its own, NoBody":      bodiless("X-OWN", http.NoBody, 0),
		"trailer":                 trailed(-1, "End", "bye"),
		"trailer, in small":       trailed(-1, "end", "bye"),
		"trailer, no value":       trailed(-1, "End"),
		"trailer, two values":     trailed(-1, "End", "a", "b"),
		"trailer, known length":   trailed(5, "End", "bye"),
	})
}

func trailed(n int64, name string, values ...string) func(*http.Request) {
	return func(r *http.Request) {
		r.ContentLength = n
		r.Trailer = http.Header{name: values}
	}
}

// What cannot be sent is refused before anybody is dialed, and the body closed.
func TestRefusedBeforeTheWire(t *testing.T) {
	sameOnTheWire(t, map[string]func(*http.Request){
		"nil URL":            func(r *http.Request) { r.URL = nil },
		"nil Header":         func(r *http.Request) { r.Header = nil },
		"no scheme":          func(r *http.Request) { r.URL.Scheme = "" },
		"another scheme":     func(r *http.Request) { r.URL.Scheme = "ftp" },
		"no host":            to(""),
		"no host but a Host": func(r *http.Request) { r.URL.Host = "" },
		"method, space":      func(r *http.Request) { r.Method = "A B" },
		"method, CR LF":      func(r *http.Request) { r.Method = "GET / HTTP/1.1\r\nA:" },
		"method, UTF-8":      func(r *http.Request) { r.Method = "ÄB" },
		"name, empty":        headed("", "b"),
		"name, space":        headed("A b", "b"),
		"name, colon":        headed("A:", "b"),
		"name, UTF-8":        headed("Ä", "b"),
		"name, no values":    headed("A\n"),
		"value, LF":          headed("A", "ok", "b\nEvil: yes"),
		"value, CR":          headed("A", "b\r"),
		"value, NUL":         headed("A", "\x00"),
		"value, DEL":         headed("A", "\x7f"),
		"value, tab":         headed("A", "b\tc"),
		"User-Agent, LF":     headed("User-Agent", "a\nb"),
		"Host field, LF":     headed("Host", "a\nb"),
		"trailer, bad name":  trailed(-1, "A b", "c"),
		"trailer, bad value": trailed(-1, "A", "c\n"),
	})
}

// A body that is not as long as announced is an error, and the server never gets more than it was told of.
func TestBodyNotAsAnnounced(t *testing.T) {
	for name, tt := range map[string]struct {
		body      string
		announced int64
	}{
		"longer":               {"hello", 3},
		"longer by one":        {"hello", 4},
		"shorter":              {"hello", 9},
		"larger than a buffer": {strings.Repeat("a", 100000), 99999},
		"smaller, large":       {strings.Repeat("a", 100000), 100001},
	} {
		for kind, reader := range map[string]io.Reader{
			"in memory": strings.NewReader(tt.body),
			"streamed":  struct{ io.Reader }{strings.NewReader(tt.body)},
		} {
			t.Run(name+" "+kind, func(t *testing.T) {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://a.example/", reader)
				require.NoError(t, err)
				body := &countedBody{Reader: reader}
				if kind == "streamed" {
					req.Body = body
				}
				req.ContentLength = tt.announced
				seen, err := tap(t, false, req)
				assert.ErrorContains(t, err, fmt.Sprint(tt.announced), "which names the length")
				_, sent, _ := strings.Cut(seen.wire, "\r\n\r\n")
				assert.LessOrEqual(t, int64(len(sent)), tt.announced)
				if kind == "streamed" {
					assert.EqualValues(t, 1, body.closes.Load())
				}
			})
		}
	}
}
