//go:build linux

package transport_test

import (
	"net/http"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/internal/sockstat"
)

// 20,000 small bodies neither read nor closed, 16 at a time, open hardly more connections than ran at once, and leave nothing: no
// socket, no descriptor, no goroutine. The collector does not run.
func TestDetachAtScale(t *testing.T) {
	plainAndTLS(t, func(t *testing.T, https bool) {
		withoutCollections(t)
		goroutines := runtime.NumGoroutine()
		t.Run("story", func(t *testing.T) {
			s := newStory(t, sized, https, false)
			var wg sync.WaitGroup
			for range 16 {
				wg.Go(func() {
					for i := range 1250 {
						req, err := http.NewRequestWithContext(s.Context(), http.MethodGet, s.server.URL+[]string{"/13", "/4096?length"}[i%2], nil)
						if !assert.NoError(s, err) {
							return
						}
						if _, err = s.rt.RoundTrip(req); !assert.NoError(s, err) {
							return
						}
					}
				})
			}
			wg.Wait()
			assert.LessOrEqual(s, s.dials.Load(), int64(64)) // the last bytes of some come when the next request has begun
			s.eventually("all have arrived", func() bool { return s.ours.Stats().Leased == 0 })
			assert.Equal(s, s.ours.Stats().Idle, sockets(s, s.server)[sockstat.Established])
			require.NoError(s, s.ours.Close())
			assert.Empty(s, sockets(s, s.server))
		})
		for start := time.Now(); runtime.NumGoroutine() > goroutines && time.Since(start) < patience; {
			time.Sleep(tick) // they are ending
		}
		assert.LessOrEqual(t, runtime.NumGoroutine(), goroutines)
	})
}

// 500 bodies of all sizes, and stalled ones, are dropped: two collections later all sockets and slots are back, and no cleanup was
// stopped by a server that stalls.
func TestDroppedAtScale(t *testing.T) {
	large := pattern(16 << 20)
	handler := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/stall" {
			_, _ = w.Write(pattern(20000))
			w.(http.Flusher).Flush()
			<-r.Context().Done()
			return
		}
		n, _ := strconv.Atoi(r.URL.Path[1:])
		_, _ = w.Write(large[:n])
	}
	ours1(t, handler, func(s *story) {
		leaks := s.leaks()
		var kept []*http.Response
		for i := range 500 {
			kept = append(kept, s.get([]string{"/65536", "/1048576", "/16777216", "/stall"}[i%4]))
		}
		assert.Equal(s, 500, s.ours.Stats().Bodies)
		assert.Equal(s, 500, sockets(s, s.server)[sockstat.Established])
		runtime.KeepAlive(kept) // and from here on dropped
		kept = nil
		runtime.GC()
		runtime.GC()
		s.eventually("taken back", func() bool { return s.ours.Stats().Leased == 0 })
		s.eventually("no socket", func() bool { return sockets(s, s.server)[sockstat.Established] == s.ours.Stats().Idle })
		s.eventually("reported", func() bool { return len(leaks()) == 500 })
	})
}
