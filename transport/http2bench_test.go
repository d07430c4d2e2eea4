package transport_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/transport"
)

// BenchmarkHTTP2 has ours beside net/http over HTTP/2, by one caller and by many on one connection; the server runs in the same
// process and is part of the figure.
func BenchmarkHTTP2(b *testing.B) {
	body := strings.Repeat("x", 1<<20)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var n int
		_, _ = fmt.Sscanf(r.URL.Path, "/%d", &n)
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Length", fmt.Sprint(n))
		_, _ = io.WriteString(w, body[:n])
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	settings := &http.Transport{TLSClientConfig: trust(server), ForceAttemptHTTP2: true}
	own, std := transport.From(settings), settings.Clone()
	defer own.Close()
	defer std.CloseIdleConnections()
	for _, size := range []int{0, 13, 4 << 10, 64 << 10, 1 << 20} {
		url := fmt.Sprintf("%s/%d", server.URL, size)
		for _, side := range []struct {
			name string
			rt   http.RoundTripper
		}{{"ours", own}, {"std", std}} {
			b.Run(fmt.Sprintf("%d/%s", size, side.name), func(b *testing.B) { benchRoundTrip(b, side.rt, url) })
			b.Run(fmt.Sprintf("%d/parallel/%s", size, side.name), func(b *testing.B) {
				b.ReportAllocs()
				b.SetParallelism(8)
				b.RunParallel(func(p *testing.PB) {
					req, err := http.NewRequest(http.MethodGet, url, nil)
					require.NoError(b, err)
					for p.Next() {
						resp, err := side.rt.RoundTrip(req)
						if err != nil {
							b.Error(err)
							return
						}
						_, _ = io.Copy(io.Discard, resp.Body)
						_ = resp.Body.Close()
					}
				})
			})
		}
	}
}
