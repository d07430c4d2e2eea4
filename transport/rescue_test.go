package transport_test

import (
	"fmt"
	"net/http"
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/transport"
)

// withoutCollections switches the collector off for the length of a test, as if the heap were idle: whoever wants a collection has
// to ask for it.
func withoutCollections(t *testing.T) {
	runtime.GC()
	before := debug.SetGCPercent(-1)
	t.Cleanup(func() { debug.SetGCPercent(before) })
	transport.ForgetCollections()
}

// collections counts the collections of the process so far.
func collections() uint32 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.NumGC
}

// All connections that MaxConnsPerHost allows are held by dropped bodies, and the collector has no reason to run: the next
// request gets one all the same, after one collection.
func TestRescueOfStarvingRequests(t *testing.T) {
	const limit = 50
	ours1(t, sized, func(s *story) {
		withoutCollections(s.T)
		leaks := s.leaks()
		for i := range limit {
			_ = s.get(fmt.Sprintf("/1000000?%d", i))
		}
		require.Len(s, s.ours.OpenBodies(), limit)
		before := collections()
		start := time.Now()
		assert.Equal(s, http.StatusOK, s.get("/10").StatusCode)
		s.Logf("the request took %v", time.Since(start))
		assert.EqualValues(s, 1, collections()-before)
		s.eventually("all are reported", func() bool { return len(leaks()) == limit })
		recorded := 0
		for _, l := range leaks() {
			assert.Equal(s, transport.Dropped, l.Cause)
			if l.Stack != "" {
				recorded++
			}
		}
		assert.Zero(s, recorded, "stacks come after an origin's first leak")
		_ = s.get("/1000000")
		s.eventuallyCollected("one more", func() bool { return len(leaks()) == limit+1 })
		assert.Contains(s, leaks()[limit].Stack, "rescue_test.go")
	}, func(tr *http.Transport) { tr.MaxConnsPerHost = limit })
}

// A collection that frees nothing is not repeated at once, however many wait: the bodies are kept, not dropped.
func TestRescuesAreRare(t *testing.T) {
	s := newStory(t, sized, false, false, func(tr *http.Transport) { tr.MaxConnsPerHost = 2 })
	withoutCollections(t)
	s.ours.AcquireTimeout = 3 * time.Second
	kept := []*http.Response{s.get("/1000000"), s.get("/1000000")}
	before := collections()
	done := make(chan error)
	for range 10 {
		go func() {
			_, err := s.rt.RoundTrip(s.request(http.MethodGet, "/10", nil))
			done <- err
		}()
	}
	for range 10 {
		var ae *transport.AcquireError
		assert.ErrorAs(s, <-done, &ae)
	}
	assert.EqualValues(s, 1, collections()-before)
	for _, resp := range kept {
		assert.Len(s, s.read(resp), 1000000)
	}
}

// Requests that wait for busy connections, whose bodies are read, make nobody collect.
func TestNoRescueOfBusyConnections(t *testing.T) {
	s := newStory(t, sized, false, false, func(tr *http.Transport) { tr.MaxConnsPerHost = 1 })
	withoutCollections(t)
	before := collections()
	resp := s.get("/1000000")
	got := make(chan *http.Response)
	go func() { got <- s.get("/10") }()
	s.eventually("one waits", func() bool { return s.ours.Stats().Waiting == 1 })
	for range 200 {
		_, err := resp.Body.Read(make([]byte, 100))
		require.NoError(s, err)
		time.Sleep(5 * time.Millisecond) // longer in all than a body must be unread to be suspected
	}
	require.NoError(s, resp.Body.Close())
	<-got
	assert.Zero(s, collections()-before)
}
