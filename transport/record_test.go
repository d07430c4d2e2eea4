package transport_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/internal/leakhook"
	"github.com/watertight-go/watertight/transport"
)

// A transcript is what a recorder was told.
type transcript struct {
	mu      sync.Mutex // guards the fields below
	subject leakhook.Subject
	owner   any
	began   int
	dials   int
	closes  int
	bodies  []leakhook.Body // of the exchanges that ended
	resps   []*http.Response
}

// record has the Transports of a test recorded.
func record(t *testing.T) *transcript {
	require.Nil(t, leakhook.Attach.Load(), "the tests of transport are about what programs have, which is nobody")
	r := &transcript{}
	attach := func(owner any, s leakhook.Subject) *leakhook.Recorder {
		r.owner, r.subject = owner, s
		return &leakhook.Recorder{
			Began: func(*http.Request) func(*http.Response, leakhook.Body) {
				r.note(&r.began)
				return r.ended
			},
			Dialed: func(net.Conn) { r.note(&r.dials) },
			Closed: func() { r.note(&r.closes) },
		}
	}
	leakhook.Attach.Store(&attach)
	t.Cleanup(func() { leakhook.Attach.Store(nil) })
	return r
}

func (r *transcript) note(n *int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	*n++
}

func (r *transcript) ended(resp *http.Response, b leakhook.Body) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bodies, r.resps = append(r.bodies, b), append(r.resps, resp)
}

// A recorder is told of each request, its end, each connection and Close; it can close a body without its handle.
func TestRecorder(t *testing.T) {
	r := record(t)
	s := newStory(t, sized, false, false)
	small := s.get("/10")
	large := s.get("/1000000")
	assert.Same(t, s.ours, r.owner)
	assert.Equal(t, []*http.Response{small, large}, r.resps)
	assert.Equal(t, 2, r.began)
	assert.Zero(t, r.closes)
	assert.EqualValues(t, s.dials.Load(), r.dials)
	assert.True(t, r.bodies[0].Arrived)
	assert.Nil(t, r.bodies[0].Close)
	assert.False(t, r.bodies[1].Arrived)
	assert.Positive(t, r.subject.Busy())
	assert.Len(t, s.ours.OpenBodies(), 1)
	r.bodies[1].Close()
	s.eventually("ended", func() bool { return len(s.ours.OpenBodies()) == 0 })
	_, err := large.Body.Read(make([]byte, 1))
	assert.Equal(t, http.ErrBodyReadAfterClose, err)
	r.subject.Close()
	assert.Zero(t, r.subject.Busy())
	require.NoError(t, s.ours.Close())
	assert.Equal(t, 1, r.closes)
	_, err = s.rt.RoundTrip(s.request(http.MethodGet, "/", nil))
	assert.Equal(t, transport.ErrClosed, err)
	assert.Nil(t, r.resps[2])
}

// A Transport that was used before there was a recorder, as by the init of a package, is recorded from then on.
func TestRecorderThatComesLate(t *testing.T) {
	s := newStory(t, sized, false, false)
	_ = s.get("/10")
	r := record(t)
	resp := s.get("/10")
	_ = s.get("/10")
	assert.Same(t, s.ours, r.owner)
	assert.Equal(t, 2, r.began)
	assert.Same(t, resp, r.resps[0])
	require.NoError(t, s.ours.Close())
	assert.Equal(t, 1, r.closes)
}

// A request that failed or was cancelled has ended, and one whose caller's callback panicked.
func TestRecorderOfFailures(t *testing.T) {
	r := record(t)
	s := newStory(t, sized, false, false, func(tr *http.Transport) {
		tr.DialContext = func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("nobody there") }
	})
	_, err := s.rt.RoundTrip(s.request(http.MethodGet, "/", nil))
	require.Error(t, err)
	assert.Equal(t, 1, r.began)
	assert.Equal(t, []*http.Response{nil}, r.resps)
	assert.Zero(t, r.dials)

	s.ours.RegisterProtocol("panic", panicking{})
	req := s.request(http.MethodGet, "/", nil)
	req.URL.Scheme = "panic"
	assert.Panics(t, func() { _, _ = s.rt.RoundTrip(req) })
	assert.Equal(t, 2, r.began)
	assert.Equal(t, []*http.Response{nil, nil}, r.resps)
}

type panicking struct{}

func (panicking) RoundTrip(*http.Request) (*http.Response, error) { panic("the caller's") }
