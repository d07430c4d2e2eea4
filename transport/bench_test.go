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
