package transport_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/transport"
)

// BenchmarkRoundTrip has ours beside net/http; the server runs in the same process and is part of the figure.
func BenchmarkRoundTrip(b *testing.B) {
	body := strings.Repeat("x", 1<<20)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var n int
		_, _ = fmt.Sscanf(r.URL.Path, "/%d", &n)
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Length", fmt.Sprint(n))
		_, _ = io.WriteString(w, body[:n])
	}))
	defer server.Close()
	for _, size := range []int{13, 4 << 10, 64 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("%d/ours", size), func(b *testing.B) {
			tr := transport.New()
			defer tr.Close()
			benchRoundTrip(b, tr, fmt.Sprintf("%s/%d", server.URL, size))
		})
		b.Run(fmt.Sprintf("%d/std", size), func(b *testing.B) {
			std := http.DefaultTransport.(*http.Transport).Clone()
			defer std.CloseIdleConnections()
			benchRoundTrip(b, std, fmt.Sprintf("%s/%d", server.URL, size))
		})
	}
}

func benchRoundTrip(b *testing.B, rt http.RoundTripper, url string) {
	req, err := http.NewRequest(http.MethodGet, url, nil)
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		resp, err := rt.RoundTrip(req)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			b.Fatal(err)
		}
		_ = resp.Body.Close()
	}
}

// BenchmarkAbsorb tells how long a server that hangs up behind the rest of a body waits until our socket is closed, while the caller
// holds the body and does not read.
func BenchmarkAbsorb(b *testing.B) {
	for _, https := range []bool{false, true} {
		b.Run(map[bool]string{false: "http", true: "https"}[https], func(b *testing.B) {
			server := startRaw(b, https)
			tr := &transport.Transport{TLSClientConfig: server.config}
			defer tr.Close()
			req, err := http.NewRequest(http.MethodGet, server.url(), nil)
			require.NoError(b, err)
			var took []time.Duration
			for b.Loop() {
				held := make(chan struct{})
				go func() {
					c := <-server.conns
					answer(b, bufio.NewReader(c), c, "HTTP/1.1 200 OK\r\nContent-Length: 50000\r\n\r\n")
					<-held
					_, _ = c.Write(make([]byte, 50000))
					tcp := c
					if tc, ok := c.(*tls.Conn); ok {
						_ = tc.CloseWrite()
						tcp = tc.NetConn().(*corked).Conn
					}
					_ = tcp.(*net.TCPConn).CloseWrite()
					began := time.Now()
					_, _ = io.Copy(io.Discard, tcp)
					took = append(took, time.Since(began))
					_ = c.Close()
					held <- struct{}{}
				}()
				resp, err := tr.RoundTrip(req)
				require.NoError(b, err)
				held <- struct{}{}
				<-held
				n, err := io.Copy(io.Discard, resp.Body)
				require.NoError(b, err)
				require.EqualValues(b, 50000, n)
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "µs/p50")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "µs/p99")
			b.ReportMetric(float64(took[len(took)-1].Microseconds()), "µs/max")
		})
	}
}
