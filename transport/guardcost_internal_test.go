package transport

import (
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"
	"time"
)

// What the guard adds to a request with a streaming body, part by part, beside the whole of such a request. A detached body has
// none of these parts.
func BenchmarkGuard(b *testing.B) {
	req := httptest.NewRequest(http.MethodGet, "http://a.example/", nil)
	b.Run("register", func(b *testing.B) {
		var r register
		var body openBody
		b.ReportAllocs()
		for b.Loop() {
			r.add(&body, req, nil)
			r.remove(&body)
		}
	})
	b.Run("cleanup", func(b *testing.B) {
		s := &stream{}
		b.ReportAllocs()
		for b.Loop() {
			h := &streamBody{s: s}
			c := runtime.AddCleanup(h, func(*stream) {}, s)
			c.Stop()
		}
	})
	b.Run("each Read", func(b *testing.B) {
		s := &stream{core: &core{began: time.Now()}, conn: &http1Conn{}}
		b.ReportAllocs()
		for b.Loop() {
			s.mu.Lock()
			s.received.Add(1)
			s.lastRead.Store(int64(s.core.clock()))
			s.mu.Unlock()
			if s.closing.Load() || s.conn.peerGone() {
				b.Fatal("not idle")
			}
		}
	})
	b.Run("whole request, 64 KiB", func(b *testing.B) {
		answer := make([]byte, 64<<10)
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(answer) }))
		defer server.Close()
		t := New()
		defer t.Close()
		buf := make([]byte, 32<<10)
		reads := 0
		b.ReportAllocs()
		for b.Loop() {
			req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, server.URL, nil)
			if err != nil {
				b.Fatal(err)
			}
			resp, err := t.RoundTrip(req)
			if err != nil {
				b.Fatal(err)
			}
			for err == nil {
				_, err = resp.Body.Read(buf)
				reads++
			}
			if err != io.EOF {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(reads)/float64(b.N), "Reads/op")
	})
}
