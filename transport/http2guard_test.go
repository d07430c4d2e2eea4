package transport_test

import (
	"context"
	"io"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/transport"
)

// streams counts the streams that are open at the server of a story.
type streams struct{ open, reset atomic.Int64 }

// count wraps a handler.
func (c *streams) count(handler http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c.open.Add(1)
		defer func() {
			if r.Context().Err() != nil {
				c.reset.Add(1)
			}
			c.open.Add(-1)
		}()
		handler(w, r)
	}
}

// A thousand streams whose bodies are dropped are reset once the collector has seen it, and reported; not one of them stays open.
func TestDroppedStreams(t *testing.T) {
	var at streams
	handler := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/body" {
			hang(w, r)
		}
	}
	s := newHTTP2Story(t, at.count(handler), false)
	leaks := s.leaks()
	for i := range 1000 {
		resp := s.get("/body")
		if i%2 == 0 {
			_, err := io.ReadFull(resp.Body, make([]byte, 1000))
			require.NoError(s, err)
		}
	}
	s.eventuallyCollected("reported", func() bool { return len(leaks()) == 1000 })
	s.eventually("no stream", func() bool { return at.open.Load() == 0 })
	assert.EqualValues(s, 1000, at.reset.Load())
	st := s.ours.Stats()
	assert.Zero(s, st.Leased)
	assert.Zero(s, st.Bodies)
	assert.EqualValues(s, 1000, st.Leaks[transport.Dropped])
	assert.LessOrEqual(s, st.Dials, int64(4), "the server allows 250 streams on each")
	s.read(s.get("/"))
}

// What a leaked body takes of the window that all streams of its connection share is theirs again after the next collection, or
// LeakTimeout: until then they are delayed.
func TestLeakedWindow(t *testing.T) {
	for name, timeout := range map[string]time.Duration{"dropped": 0, "forgotten": time.Second} {
		t.Run(name, func(t *testing.T) {
			s := newHTTP2Story(t, sized, false, func(tr *http.Transport) {
				tr.HTTP2 = &http.HTTP2Config{MaxReceiveBufferPerConnection: 1 << 20, MaxReceiveBufferPerStream: 2 << 20}
			})
			leaks := s.leaks()
			s.ours.LeakTimeout = timeout
			kept := s.get("/8388608")
			whole := func(ctx context.Context) (n int) {
				resp, err := s.rt.RoundTrip(s.request(http.MethodGet, "/100000", nil).WithContext(ctx))
				if err == nil {
					b, _ := io.ReadAll(resp.Body)
					n = len(b)
					err = resp.Body.Close()
				}
				assert.True(s, err == nil || ctx.Err() != nil)
				return n
			}
			if timeout == 0 {
				s.eventually("the window is full", func() bool {
					ctx, cancel := context.WithTimeout(s.Context(), 50*time.Millisecond)
					defer cancel()
					return whole(ctx) < 100000
				})
			}
			done := make(chan int)
			go func() { done <- whole(s.Context()) }()
			if timeout == 0 {
				runtime.KeepAlive(kept)
				kept = nil
				s.eventuallyCollected("reported", func() bool { return len(leaks()) == 1 })
			}
			assert.Equal(s, 100000, <-done)
			s.eventually("reported", func() bool { return len(leaks()) == 1 })
			s.wantDials(1)
			if timeout > 0 {
				_, err := kept.Body.Read(make([]byte, 1))
				var reclaimed *transport.ReclaimedError
				require.ErrorAs(s, err, &reclaimed)
				assert.Equal(s, transport.Forgotten, reclaimed.Cause)
			}
		})
	}
}

// A body that has arrived holds no stream, and is no leak; after LeakTimeout it holds nothing of the window either, and every byte is
// there for who reads it later.
func TestArrivedStreamsAreApart(t *testing.T) {
	s := newHTTP2Story(t, sized, false, func(tr *http.Transport) {
		tr.HTTP2 = &http.HTTP2Config{MaxReceiveBufferPerConnection: 1 << 20, MaxReceiveBufferPerStream: 1 << 20}
	})
	leaks := s.leaks()
	s.ours.LeakTimeout = 300 * time.Millisecond // time enough between two Reads of one who reads
	var kept []*http.Response
	const window = 1<<20 + 65535 // what there is at first comes to what is set
	sizes := slices.Repeat([]int{window / 11}, 10)
	for _, size := range append(sizes, window-10*sizes[0]) {
		kept = append(kept, s.get("/"+strconv.Itoa(size)))
	}
	// They take all of the window: this has to wait until it is whole again.
	ctx, cancel := context.WithTimeout(s.Context(), patience)
	defer cancel()
	assert.Len(s, s.read(s.send(s.request(http.MethodGet, "/1000000", nil).WithContext(ctx))), 1000000)
	s.eventually("no stream", func() bool { st := s.ours.Stats(); return st.Leased == 0 && st.Bodies == 0 })
	for _, resp := range kept {
		b := s.read(resp)
		assert.Equal(s, string(pattern(len(b))), b)
		assert.GreaterOrEqual(s, len(b), sizes[0])
	}
	assert.Empty(s, leaks())
	s.wantDials(1)
}

// A body that is closed before its end resets its stream and nothing else; a request that is cancelled does, too.
func TestStreamsEndAlone(t *testing.T) {
	var at streams
	s := newHTTP2Story(t, at.count(hang), false)
	busy := s.get("/body")
	resp := s.get("/body")
	require.NoError(s, resp.Body.Close())
	_, err := resp.Body.Read(make([]byte, 1))
	assert.Equal(s, http.ErrBodyReadAfterClose, err)
	s.eventually("reset", func() bool { return at.reset.Load() == 1 })

	for _, path := range []string{"/body", "/head"} {
		before := at.reset.Load()
		ctx, cancel := context.WithCancel(s.Context())
		began := at.open.Load()
		go func() {
			for at.open.Load() == began {
				runtime.Gosched()
			}
			cancel()
		}()
		resp, err := s.rt.RoundTrip(s.request(http.MethodGet, path, nil).WithContext(ctx))
		if err == nil {
			_, err = io.ReadAll(resp.Body)
		}
		assert.Equal(s, context.Canceled, err)
		s.eventually("reset", func() bool { return at.reset.Load() == before+1 })
	}
	_, err = io.ReadFull(busy.Body, make([]byte, 20000))
	assert.NoError(s, err)
	assert.Equal(s, 1, s.ours.Stats().Bodies)
	require.NoError(s, busy.Body.Close())
	s.wantNothingHeld()
	s.wantDials(1)
	assert.Equal(s, 1, s.ours.Stats().Idle)
}

// A Close during a Read ends it, and a blocked Read is no leak although nobody else refers to its body.
func TestReadsOfStreams(t *testing.T) {
	s := newHTTP2Story(t, hang, false)
	leaks := s.leaks()
	s.ours.LeakTimeout = time.Second // time enough to come to the next Read
	ended := make(chan error)
	closer := make(chan io.Closer)
	go func() {
		body := s.get("/body").Body
		_, _ = io.ReadFull(body, make([]byte, 20000))
		closer <- body
		_, err := body.Read(make([]byte, 1))
		ended <- err
	}()
	c, began := <-closer, time.Now()
	collect(s, "longer than LeakTimeout", func() bool { return time.Since(began) > s.ours.LeakTimeout*3/2 })
	assert.Empty(s, leaks())
	require.NoError(s, c.Close())
	assert.Equal(s, http.ErrBodyReadAfterClose, <-ended)
	s.wantNothingHeld()
}
