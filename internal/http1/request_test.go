package http1_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/http/httpguts"

	"github.com/watertight-go/watertight/internal/http1"
)

// A wroteField is one call of httptrace's WroteHeaderField.
type wroteField struct {
	Name   string
	Values []string
}

// stdWire has an http.Transport send req to a listener and returns the bytes that came, body included, and what its
// trace was told.
func stdWire(t *testing.T, std *http.Transport, req *http.Request) (wire string, told []wroteField) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	std.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", ln.Addr().String())
	}
	came := make(chan string, 1)
	go func() {
		nc, err := ln.Accept()
		if err != nil {
			came <- err.Error()
			return
		}
		defer nc.Close()
		came <- readRequest(nc)
		_, _ = io.WriteString(nc, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
	}()
	trace := &httptrace.ClientTrace{WroteHeaderField: func(name string, values []string) {
		told = append(told, wroteField{name, values})
	}}
	resp, err := std.RoundTrip(req.WithContext(httptrace.WithClientTrace(t.Context(), trace)))
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return <-came, told
}

// readRequest returns the bytes of one request, by its own simple rules.
func readRequest(r io.Reader) string {
	var wire bytes.Buffer
	br := bufio.NewReader(io.TeeReader(r, &wire))
	var length int64
	chunked := false
	for {
		line, err := br.ReadString('\n')
		if err != nil || line == "\r\n" {
			break
		}
		_, _ = fmt.Sscanf(line, "Content-Length: %d", &length)
		chunked = chunked || line == "Transfer-Encoding: chunked\r\n"
	}
	_, _ = io.CopyN(io.Discard, br, length)
	for line, last := "", false; chunked && !(last && line == "\r\n"); {
		var err error
		if line, err = br.ReadString('\n'); err != nil {
			break
		}
		last = last || line == "0\r\n"
	}
	return wire.String()
}

// A stdCase is a request, and the transport settings that show on the wire.
type stdCase struct {
	method, body                          string
	header, trailer                       http.Header
	close, chunked                        bool
	disableKeepAlives, disableCompression bool
}

func (c stdCase) request(t *testing.T) *http.Request {
	req, err := http.NewRequestWithContext(t.Context(), c.method, "http://a.example/p?q", nil)
	require.NoError(t, err)
	req.Header = c.header.Clone()
	if req.Header == nil {
		req.Header = http.Header{}
	}
	req.Close = c.close
	req.Trailer = c.trailer.Clone()
	if c.body != "" {
		req.Body = io.NopCloser(strings.NewReader(c.body))
		req.ContentLength = int64(len(c.body))
		if c.chunked {
			req.ContentLength = -1
		}
	}
	return req
}

// head decides as a transport does.
func (c stdCase) head() *http1.Head {
	h := &http1.Head{Target: "/p?q", Host: "a.example", ContentLength: -1, Close: c.close, NoKeepAlive: c.disableKeepAlives}
	h.AcceptGzip = !c.disableCompression && c.method != http.MethodHead && c.header.Get("Accept-Encoding") == "" && c.header.Get("Range") == ""
	switch {
	case c.body != "" && c.chunked:
		h.Chunked = true
	case c.body != "" || c.method == http.MethodPost || c.method == http.MethodPut:
		h.ContentLength = int64(len(c.body))
	}
	return h
}

// check compares what we append with what http.Transport sends, and what the traces are told.
func (c stdCase) check(t *testing.T) {
	t.Helper()
	want, wantTold := stdWire(t, &http.Transport{DisableKeepAlives: c.disableKeepAlives, DisableCompression: c.disableCompression}, c.request(t))
	req := c.request(t)
	var told []wroteField
	got := http1.AppendHead([]byte("before"), req, c.head(), func(name string, values []string) {
		told = append(told, wroteField{name, values})
	})
	untraced := http1.AppendHead([]byte("before"), req, c.head(), nil)
	require.Equal(t, string(got), string(untraced))
	switch {
	case c.body != "" && c.chunked:
		got = append(http1.AppendChunkSize(got, len(c.body)), c.body+"\r\n0\r\n"...)
		got = append(http1.AppendTrailer(got, req.Trailer), "\r\n"...)
	default:
		got = append(got, c.body...)
	}
	require.Equal(t, "before"+want, string(got))
	assert.Equal(t, wantTold, told)
	assert.Equal(t, c.request(t).Header, req.Header, "the caller's header has changed")
}

// manyFields returns a header of n fields.
func manyFields(n int) http.Header {
	h := http.Header{}
	for i := range n {
		h.Set(fmt.Sprintf("X-%d", i*7919%n), fmt.Sprint(i))
	}
	return h
}

// Requests are byte for byte those of http.Transport.
func TestAppendHeadLikeStd(t *testing.T) {
	for _, tt := range []struct {
		name string
		stdCase
	}{
		{"plain", stdCase{}},
		{"HEAD asks for no gzip", stdCase{method: "HEAD"}},
		{"a range asks for no gzip", stdCase{header: http.Header{"Range": {"bytes=0-1"}}}},
		{"fields by name, in the caller's spelling", stdCase{header: http.Header{"b": {"1"}, "B": {"2"}, "A-c": {"3"}, "a-C": {"4"}}}},
		{"several values", stdCase{header: http.Header{"B": {"1", "2"}, "A": {"3", ""}}}},
		{"no values", stdCase{header: http.Header{"A": nil, "B": {}}}},
		{"values are trimmed", stdCase{header: http.Header{"A": {"  a\tb\t "}, "B": {" "}, "C": {"ünï"}}}},
		{"32 fields", stdCase{header: manyFields(32)}},
		{"33 fields", stdCase{header: manyFields(33)}},
		{"own user agent", stdCase{header: http.Header{"User-Agent": {" mine "}}}},
		{"two user agents", stdCase{header: http.Header{"User-Agent": {"one", "two"}}}},
		{"empty user agent", stdCase{header: http.Header{"User-Agent": {""}}}},
		{"blank user agent", stdCase{header: http.Header{"User-Agent": {" "}}}},
		{"nil user agent", stdCase{header: http.Header{"User-Agent": nil}}},
		{"user agent in another spelling", stdCase{header: http.Header{"user-agent": {"mine"}}}},
		{"fields that the head decides on", stdCase{method: "POST", body: "12345", header: http.Header{
			"Host": {"evil"}, "Content-Length": {"1"}, "Transfer-Encoding": {"chunked"}, "Trailer": {"A"}, "X": {"y"}}}},
		{"empty POST", stdCase{method: "POST"}},
		{"POST", stdCase{method: "POST", body: "12345"}},
		{"chunks", stdCase{method: "POST", body: "12345", chunked: true}},
		{"trailer", stdCase{method: "POST", body: "12345", chunked: true, trailer: http.Header{"Zz": {"1"}, "aa": {"2", " 3 "}, "None": nil}}},
		{"empty trailer", stdCase{method: "POST", body: "12345", chunked: true, trailer: http.Header{}}},
		{"trailer without chunks", stdCase{method: "POST", body: "12345", trailer: http.Header{"Zz": {"1"}}}},
		{"close", stdCase{close: true}},
		{"close, said already", stdCase{close: true, header: http.Header{"Connection": {"keep-alive, CLOSE"}}}},
		{"close, said with spaces", stdCase{close: true, header: http.Header{"Connection": {"keep-alive\tclose x"}}}},
		{"close, said in the second field", stdCase{close: true, header: http.Header{"Connection": {"x", "close"}}}},
		{"not quite close", stdCase{close: true, header: http.Header{"Connection": {"closed, unclose, xclose"}}}},
		{"close and no keep-alive", stdCase{close: true, disableKeepAlives: true}},
		{"no keep-alive", stdCase{disableKeepAlives: true, header: http.Header{"Z": {"z"}}}},
		{"no keep-alive, close said already", stdCase{disableKeepAlives: true, header: http.Header{"Connection": {"close"}}}},
		{"no keep-alive, but an upgrade", stdCase{disableKeepAlives: true, header: http.Header{"Connection": {"x, UPGRADE"}, "Upgrade": {"foo"}}}},
		{"no keep-alive, half an upgrade", stdCase{disableKeepAlives: true, header: http.Header{"Connection": {"Upgrade"}}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.method == "" {
				tt.method = http.MethodGet
			}
			tt.check(t)
		})
	}
}

func TestAppendHeadLikeStdAtRandom(t *testing.T) {
	names := []string{"A", "b-c", "Accept", "X-Long-Name", "User-Agent", "Host", "Content-Length", "Trailer", "Connection", "Upgrade", "Cookie", "x-y", "Range"}
	values := []string{"", "v", " padded ", "a, b", "close", "keep-alive", "upgrade", "tab\there", "ünïcode", strings.Repeat("long ", 20)}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	fields := func(most int) http.Header {
		h := http.Header{}
		for range r.IntN(most) {
			name := names[r.IntN(len(names))]
			h[name] = append(h[name], values[r.IntN(len(values))])
		}
		return h
	}
	for i := range 300 {
		c := stdCase{
			method: []string{"GET", "HEAD", "POST", "DELETE"}[r.IntN(4)], header: fields(12), close: r.IntN(3) == 0,
			disableKeepAlives: r.IntN(3) == 0, disableCompression: r.IntN(2) == 0,
		}
		if c.method == "POST" && r.IntN(4) != 0 {
			c.body, c.chunked = "12345", r.IntN(2) == 0
			if c.trailer = fields(5); len(c.trailer["Content-Length"])+len(c.trailer["Trailer"]) > 0 {
				c.trailer = nil // refused by http.Transport
			}
		}
		if c.check(t); t.Failed() {
			t.Fatalf("request %d: %+v", i, c)
		}
	}
}

// A proxy's credentials come last, and may not begin another line.
func TestAppendHeadProxyAuthorization(t *testing.T) {
	h := &http1.Head{Target: "http://a.example/", Host: "a.example", ContentLength: -1, AcceptGzip: true, NoKeepAlive: true, ProxyAuthorization: "Basic eDp5\r\nEvil: 1"}
	got := http1.AppendHead(nil, &http.Request{Header: http.Header{"Z": {"z"}, "User-Agent": nil}}, h, nil)
	assert.Equal(t, "GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\nZ: z\r\n"+
		"Accept-Encoding: gzip\r\nConnection: close\r\nProxy-Authorization: Basic eDp5  Evil: 1\r\n\r\n", string(got))
}

// What delimits messages is neither announced nor sent in a trailer.
func TestAppendTrailerHasNoFraming(t *testing.T) {
	trailer := http.Header{"content-length": {"1"}, "Transfer-Encoding": {"x"}, "trailer": {"y"}, "A": {"b"}}
	assert.Equal(t, "A: b\r\n", string(http1.AppendTrailer(nil, trailer)))
	req := &http.Request{Header: http.Header{}, Trailer: trailer}
	head := string(http1.AppendHead(nil, req, &http1.Head{Target: "/", Host: "h", Chunked: true}, nil))
	assert.Contains(t, head, "\r\nTransfer-Encoding: chunked\r\nTrailer: A\r\n\r\n")
}

func TestAppendChunkSize(t *testing.T) {
	assert.Equal(t, "x0\r\n", string(http1.AppendChunkSize([]byte("x"), 0)))
	assert.Equal(t, "7fff\r\n", string(http1.AppendChunkSize(nil, 0x7fff)))
}

func TestAppendHeadAllocatesNothing(t *testing.T) {
	buf := make([]byte, 0, 8<<10)
	for _, n := range []int{0, 3, 8, 9, 32} {
		req := &http.Request{Method: http.MethodPost, Header: manyFields(n)}
		h := &http1.Head{Target: "/", Host: "h", ContentLength: 1234, AcceptGzip: true, NoKeepAlive: true}
		assert.Zero(t, testing.AllocsPerRun(100, func() { buf = http1.AppendHead(buf[:0], req, h, nil) }), "%d fields", n)
	}
}

// FuzzAppendHead compares with Request.Write, which refuses nothing in a header: values with line breaks and names that
// are none come this far.
func FuzzAppendHead(f *testing.F) {
	f.Add("A", "b", "C", "d", "agent", false, 0)
	f.Add("a b", "c", "User-Agent", "\r\nx", "", true, 1)
	f.Add("X", "a\r\n b\n\rc ", "", "d", "\n", true, 2)
	f.Add("Connection", "keep-alive close", "Trailer", "x", "\x00\x7f", true, 2)
	f.Fuzz(func(t *testing.T, name1, value1, name2, value2, agent string, closes bool, body int) {
		header := http.Header{name1: {value1, value2}, "User-Agent": {agent}}
		header[name2] = append(header[name2], value2)
		req := &http.Request{URL: &url.URL{Path: "/p"}, Method: http.MethodPut, Host: "a.example", Header: header, Close: closes}
		h := &http1.Head{Target: "/p", Host: "a.example", Close: closes}
		switch body % 3 {
		case 1:
			req.Body, req.ContentLength, h.ContentLength = io.NopCloser(strings.NewReader("12345")), 5, 5
		case 2:
			req.Body, req.ContentLength, h.ContentLength = io.NopCloser(strings.NewReader("12345")), -1, -1
			h.Chunked = true
			if k := textproto.CanonicalMIMEHeaderKey(name1); k != "Content-Length" && k != "Transfer-Encoding" && k != "Trailer" {
				req.Trailer = http.Header{name1: {value2}}
			}
		}
		for _, name := range []string{name1, name2} {
			switch k := textproto.CanonicalMIMEHeaderKey(name); k {
			case "Host", "Content-Length", "Transfer-Encoding":
				if k != name {
					return // Request.Write sends two of it
				}
			}
		}
		if strings.ContainsFunc(value2, unicode.IsControl) {
			req.Trailer = nil // Request.Write sends it as it is
		}
		if !httpguts.ValidHeaderFieldName(name1) {
			req.Trailer = nil // Request.Write refuses it or, before Go 1.27, may announce what it never sends
		}
		var want bytes.Buffer
		require.NoError(t, req.Write(&want))
		got := http1.AppendHead(nil, req, h, nil)
		switch body % 3 {
		case 1:
			got = append(got, "12345"...)
		case 2:
			got = append(got, "5\r\n12345\r\n0\r\n"...)
			got = append(http1.AppendTrailer(got, req.Trailer), "\r\n"...)
		}
		require.Equal(t, want.String(), string(got))
	})
}

func BenchmarkAppendHead(b *testing.B) {
	req, err := http.NewRequest(http.MethodGet, "http://a.example/path", nil)
	require.NoError(b, err)
	req.Header.Set("Accept", "text/plain")
	req.Header.Set("X-Request-Id", "1234567890")
	b.Run("ours", func(b *testing.B) {
		b.ReportAllocs()
		buf := make([]byte, 0, 8<<10)
		h := &http1.Head{Target: "/path", Host: "a.example", ContentLength: -1, AcceptGzip: true}
		for b.Loop() {
			buf = http1.AppendHead(buf[:0], req, h, nil)
		}
	})
	b.Run("std", func(b *testing.B) {
		b.ReportAllocs()
		bw := bufio.NewWriter(io.Discard)
		for b.Loop() {
			if err := req.Write(bw); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func ExampleAppendHead() {
	req, _ := http.NewRequest(http.MethodGet, "http://a.example/", nil)
	head := http1.AppendHead(nil, req, &http1.Head{Target: "/", Host: "a.example", ContentLength: -1}, nil)
	fmt.Printf("%q", head)
	// Output: "GET / HTTP/1.1\r\nHost: a.example\r\nUser-Agent: Go-http-client/1.1\r\n\r\n"
}
