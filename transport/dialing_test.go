package transport_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A request whose context has ended dials nobody and takes no connection, closes its body, and says what ended the context.
func TestContextEndedBefore(t *testing.T) {
	everywhere(t, echo, func(s *story) {
		want := errors.New("enough")
		ctx, cancel := context.WithCancelCause(s.Context())
		cancel(want)
		for i := range 2 {
			body := &countedBody{Reader: strings.NewReader("hello")}
			_, err := s.rt.RoundTrip(s.request(http.MethodPost, "/", body).WithContext(ctx))
			assert.Equal(s, want, err)
			assert.EqualValues(s, 1, body.closes.Load())
			assert.Zero(s, body.reads.Load())
			s.wantDials(int64(i))
			s.read(s.get("/"))
			s.wantDials(1)
		}
	})
}

// A slowDial dials at once the first time, and then when it is let go.
type slowDial struct {
	dials atomic.Int64
	begun chan context.Context
	goOn  chan struct{}
}

func newSlowDial() *slowDial {
	return &slowDial{begun: make(chan context.Context, 1), goOn: make(chan struct{})}
}

func (d *slowDial) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if d.dials.Add(1) > 1 {
		d.begun <- ctx
		<-d.goOn
	}
	return new(net.Dialer).DialContext(ctx, network, addr)
}

func (d *slowDial) use(tr *http.Transport) { tr.DialContext = d.dial }

// A request that waits for a dial takes a connection that comes free before; the dial goes on, and what it opened serves
// the next request.
func TestWaitingTakesWhatComesFirst(t *testing.T) {
	for _, std := range []bool{true, false} {
		for _, https := range []bool{false, true} {
			slow := newSlowDial()
			s := newStory(t, sized, https, std, slow.use)
			busy := s.get("/1000000")
			waiting := make(chan *http.Response)
			go func() {
				resp, err := s.rt.RoundTrip(s.request(http.MethodGet, "/10", nil))
				assert.NoError(s, err)
				waiting <- resp
			}()
			<-slow.begun
			s.read(busy)
			second := <-waiting // on the connection that came free: the dial is still held
			close(slow.goOn)
			s.read(second)
			if s.ours != nil {
				s.eventually("both idle", func() bool { return s.ours.Stats().Idle == 2 })
				one, two := s.get("/1000000"), s.get("/1000000")
				assert.EqualValues(s, 2, slow.dials.Load())
				s.read(one)
				s.read(two)
			}
		}
	}
}

// The dial's context has the request's values and none of its end: it outlives a request that gave up, and what it
// opened is kept.
func TestDialOutlivesItsRequest(t *testing.T) {
	type key struct{}
	for _, std := range []bool{true, false} {
		slow := newSlowDial()
		slow.dials.Add(1) // every dial is slow
		s := newStory(t, sized, true, std, slow.use)
		ctx, cancel := context.WithCancel(context.WithValue(s.Context(), key{}, "value"))
		req := s.request(http.MethodGet, "/10", nil).WithContext(ctx)
		failed := make(chan error)
		go func() {
			_, err := s.rt.RoundTrip(req)
			failed <- err
		}()
		dialing := <-slow.begun
		assert.Equal(s, "value", dialing.Value(key{}))
		cancel()
		require.ErrorIs(s, <-failed, context.Canceled)
		assert.NoError(s, dialing.Err())
		close(slow.goOn)
		if s.ours != nil {
			s.eventually("kept", func() bool { return s.ours.Stats().Idle == 1 })
			s.read(s.get("/10"))
			assert.EqualValues(s, 2, slow.dials.Load(), "one, and one counted before")
		}
	}
}

// Over MaxIdleConns the connection that was idle for the longest makes room.
func TestMaxIdleConnsEvictsTheOldest(t *testing.T) {
	var target atomic.Value
	var dials atomic.Int64
	settings := func(tr *http.Transport) {
		tr.MaxIdleConns = 2
		tr.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
			dials.Add(1)
			return new(net.Dialer).DialContext(ctx, network, target.Load().(string))
		}
		if tr.TLSClientConfig != nil {
			tr.TLSClientConfig.ServerName = "example.com"
		}
	}
	everywhere(t, sized, func(s *story) {
		target.Store(s.server.Listener.Addr().String())
		for _, visit := range []struct {
			host  string
			dials int64
		}{{"a", 1}, {"b", 1}, {"a", 0}, {"c", 1}, {"a", 0}, {"c", 0}, {"b", 1}, {"c", 0}, {"a", 1}} {
			before := dials.Load()
			req := s.request(http.MethodGet, "/10", nil)
			req.URL.Host = visit.host + ".example"
			s.read(s.send(req))
			assert.Equal(s, visit.dials, dials.Load()-before, "%+v", visit)
			if s.ours != nil {
				assert.LessOrEqual(s, s.ours.Stats().Idle, 2)
			}
		}
	}, settings)
}

// IdleConnTimeout never costs a request, also one that could not be sent again.
func TestIdleConnTimeoutFailsNoRequest(t *testing.T) {
	everywhere(t, echo, func(s *story) {
		for i := range 150 {
			req := s.request(http.MethodPost, "/", struct{ *strings.Reader }{strings.NewReader("hello")})
			req.GetBody = nil
			s.read(s.send(req))
			time.Sleep(time.Duration(i) * 10 * time.Microsecond) // around the timeout: the race is the subject
		}
	}, func(tr *http.Transport) { tr.IdleConnTimeout = time.Millisecond })
}
