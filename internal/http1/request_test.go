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
	"net/http/httputil"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/internal/http1"
)

// wire returns the head that http.Transport writes for a request.
func wire(t *testing.T, std *http.Transport, req *http.Request) string {
	client, server := net.Pipe()
	std.DialContext = func(context.Context, string, string) (net.Conn, error) { return client, nil }
	head := make(chan string, 1)
	go func() {
		defer server.Close()
		var b strings.Builder
		br := bufio.NewReader(server)
		for {
			line, err := br.ReadString('\n')
			b.WriteString(line)
			if err != nil || line == "\r\n" {
				break
			}
		}
		if strings.Contains(b.String(), "chunked") {
			_, _ = io.Copy(io.Discard, httputil.NewChunkedReader(br))
			_, _ = br.ReadString('\n')
			_, _ = br.ReadString('\n')
			_, _ = br.ReadString('\n') // two trailer fields, and the empty line
		} else if strings.Contains(b.String(), "Content-Length: 5") {
			_, _ = br.Discard(5)
		}
		head <- b.String()
		_, _ = io.WriteString(server, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
	}()
	resp, err := std.RoundTrip(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return <-head
}

// Heads are byte for byte those of http.Transport.
func TestAppendHeadLikeStd(t *testing.T) {
	names := []string{"A", "b-c", "Accept", "X-Long-Name", "User-Agent", "Host", "Content-Length", "Trailer", "Connection", "Cookie", "x-y", "Zz", "Range"}
	values := []string{"", "v", " padded ", "a, b", "close", "keep-alive", "tab\there", "ünïcode"}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for i := range 500 {
		h := http.Header{}
		for range r.IntN(8) {
			name := names[r.IntN(len(names))]
			h[name] = append(h[name], values[r.IntN(len(values))])
		}
		req, err := http.NewRequestWithContext(t.Context(), []string{"GET", "HEAD", "POST", "DELETE"}[r.IntN(4)], "http://a.example/p?q", nil)
		require.NoError(t, err)
		req.Header = h
		req.Close = r.IntN(4) == 0
		head := &http1.Head{Target: "/p?q", Host: "a.example", ContentLength: -1, Close: req.Close}
		switch req.Method {
		case "POST":
			head.ContentLength = 0
			if r.IntN(2) == 0 {
				req.Body, req.ContentLength = io.NopCloser(strings.NewReader("12345")), 5
				head.ContentLength = 5
			} else if r.IntN(2) == 0 {
				req.Body, req.ContentLength = io.NopCloser(strings.NewReader("12345")), -1
				req.Trailer = http.Header{"Zz": {"1"}, "Aa": {"2"}}
				head.ContentLength, head.Chunked = -1, true
			}
		}
		std := &http.Transport{DisableKeepAlives: r.IntN(4) == 0, DisableCompression: r.IntN(2) == 0}
		head.AcceptGzip = !std.DisableCompression && req.Method != "HEAD" && h.Get("Accept-Encoding") == "" && h.Get("Range") == ""
		head.NoKeepAlive = std.DisableKeepAlives && !req.Close && !http1.WantsClose(h)
		want := wire(t, std, req)
		var told []string
		got := http1.AppendHead(nil, req, head, func(name string, values []string) { told = append(told, name) })
		require.Equal(t, want, string(got), "request %d: %v", i, h)
		assert.Contains(t, told, "Host")
	}
}

// A value with a line break cannot begin another field, even if it came this far.
func TestAppendHeadHasNoInjection(t *testing.T) {
	req := &http.Request{Header: http.Header{"A": {"b\r\nEvil: 1"}}}
	got := string(http1.AppendHead(nil, req, &http1.Head{Target: "/", Host: "h", ContentLength: -1}, nil))
	assert.NotContains(t, got, "\nEvil")
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
		var out bytes.Buffer
		bw := bufio.NewWriter(&out)
		for b.Loop() {
			out.Reset()
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
