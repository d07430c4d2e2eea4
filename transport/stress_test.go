package transport_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"net/http"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

var stressTime = flag.Duration("stress", 1500*time.Millisecond, "how long TestStress runs, for http and for https")

// stressed answers with a body made from the request's id, so that a byte of another exchange shows; in pieces, and sometimes
// before it has read the upload, or never to the end.
func stressed(w http.ResponseWriter, r *http.Request) {
	id := r.Header.Get("Id")
	n, _ := strconv.Atoi(r.Header.Get("Size"))
	if r.Header.Get("Early") == "" {
		_, _ = io.Copy(io.Discard, r.Body)
	}
	b := marked(id, n)
	w.Header().Set("Id", id)
	w.Header().Set("Sum", fmt.Sprint(crc32.ChecksumIEEE(b)))
	if r.Header.Get("Sized") != "" {
		w.Header().Set("Content-Length", fmt.Sprint(n))
	}
	for len(b) > 0 {
		piece := min(len(b), 1+n/3)
		_, _ = w.Write(b[:piece])
		w.(http.Flusher).Flush()
		b = b[piece:]
		if r.Header.Get("Cut") != "" && len(b) > 0 { // or the end is that of a connection that goes on
			panic(http.ErrAbortHandler)
		}
	}
}

func marked(id string, n int) []byte { return bytes.Repeat([]byte(id+" "), n/(len(id)+1)+1)[:n] }

// Whatever callers do at once to their requests and bodies, no response has a byte of another's, and in the end no connection
// is leased.
func TestStress(t *testing.T) {
	ours(t, stressed, func(s *story) {
		seed := uint64(time.Now().UnixNano())
		s.Logf("seed %d", seed)
		limit := *stressTime
		if testing.Short() {
			limit /= 10
		}
		end := time.Now().Add(limit)
		var wg sync.WaitGroup
		for w := range uint64(8) {
			wg.Go(func() {
				r := rand.New(rand.NewPCG(seed, w))
				for i := 0; time.Now().Before(end) && !s.Failed(); i++ {
					s.disturb(r, fmt.Sprintf("%d-%d", w, i))
				}
			})
		}
		wg.Wait()
		s.eventually("no lease left", func() bool {
			runtime.GC()
			return s.ours.Stats().Leased == 0
		})
		s.rt.CloseIdleConnections()
	}, func(t *http.Transport) { t.MaxConnsPerHost = 32 })
}

// disturb sends one request and does something random with it.
func (s *story) disturb(r *rand.Rand, id string) {
	ctx, cancel := context.WithTimeout(s.Context(), 10*time.Second)
	defer cancel()
	size := r.IntN([]int{10, 5000, 100000}[r.IntN(3)])
	req := s.stressRequest(ctx, r, id, size)
	undisturbed := req.Header.Get("Cut") == "" && req.Header.Get("Early") == ""
	if r.IntN(4) == 0 {
		undisturbed = false
		time.AfterFunc(time.Duration(r.IntN(2000))*time.Microsecond, cancel)
	}
	resp, err := s.rt.RoundTrip(req)
	if err != nil {
		assert.False(s, undisturbed, "%s: %v", id, err)
		return
	}
	assert.Equal(s, id, resp.Header.Get("Id"))
	var b []byte
	switch r.IntN(6) {
	case 0: // dropped, now or half read
		_, _ = io.CopyN(io.Discard, resp.Body, int64(r.IntN(size+1)))
		if r.IntN(8) == 0 {
			runtime.GC()
		}
		return
	case 1: // closed early
		_, _ = io.CopyN(io.Discard, resp.Body, int64(r.IntN(size+1)))
		_ = resp.Body.Close()
		return
	case 2: // closed beside its Reads
		undisturbed = false
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = resp.Body.Close()
		}()
		defer func() { <-done }()
		fallthrough
	default:
		b, err = io.ReadAll(resp.Body)
	}
	assert.True(s, bytes.HasPrefix(marked(id, size), b), "%s: bytes of another response", id)
	if err == nil {
		assert.Equal(s, resp.Header.Get("Sum"), fmt.Sprint(crc32.ChecksumIEEE(b)), id)
	} else {
		assert.False(s, undisturbed, "%s: %v", id, err)
	}
	if r.IntN(2) == 0 {
		_ = resp.Body.Close()
	}
}

func (s *story) stressRequest(ctx context.Context, r *rand.Rand, id string, size int) *http.Request {
	method, body := http.MethodGet, io.Reader(nil)
	if r.IntN(3) == 0 {
		method, body = http.MethodPost, &piecewise{bytes.NewReader(make([]byte, r.IntN(300000))), 1 + r.IntN(20000)}
	}
	req := s.request(method, "/", body).WithContext(ctx)
	req.Header.Set("Id", id)
	req.Header.Set("Size", fmt.Sprint(size))
	for _, flag := range []string{"Sized", "Early", "Cut"} {
		if r.IntN(map[string]int{"Sized": 2, "Early": 6, "Cut": 12}[flag]) == 0 {
			req.Header.Set(flag, "1")
		}
	}
	return req
}
