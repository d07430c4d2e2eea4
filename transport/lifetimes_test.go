package transport_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A touchyBody fails its test where it is touched after its request is over.
type touchyBody struct {
	t    *testing.T
	over atomic.Bool
	gate chan struct{} // a Read blocks until it is closed, or the body
	once sync.Once
}

func (b *touchyBody) Read(p []byte) (int, error) {
	assert.False(b.t, b.over.Load(), "Read after RoundTrip returned")
	<-b.gate
	return 0, errors.New("closed")
}

func (b *touchyBody) Close() error {
	assert.False(b.t, b.over.Load(), "Close after RoundTrip returned")
	b.once.Do(func() { close(b.gate) })
	return nil
}

// When RoundTrip has returned because its request was cancelled, nobody touches the request or its body any more. A body whose Read
// blocks is closed for that; net/http would wait for it for ever.
func TestNobodyTouchesACancelledRequest(t *testing.T) {
	t.Parallel()
	handler := func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }
	ours(t, handler, func(s *story) {
		for range 20 {
			ctx, cancel := context.WithTimeout(s.Context(), 5*time.Millisecond)
			body := &touchyBody{t: s.T, gate: make(chan struct{})}
			req := s.request(http.MethodPost, "/head", body).WithContext(ctx)
			_, err := s.rt.RoundTrip(req)
			require.Error(s, err)
			body.over.Store(true)
			*req = http.Request{} // the race detector tells of whoever reads it
			cancel()
		}
	})
}

// IdleConnTimeout at the moment of a new request never fails it.
func TestIdleConnTimeoutRacesRequests(t *testing.T) {
	ours(t, echo, func(s *story) {
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 200 {
					resp, err := s.rt.RoundTrip(s.request(http.MethodPost, "/", http.NoBody))
					if assert.NoError(s, err) {
						_, err = io.Copy(io.Discard, resp.Body)
						assert.NoError(s, err)
						assert.NoError(s, resp.Body.Close())
					}
					runtime.Gosched()
				}
			})
		}
		wg.Wait()
	}, func(tr *http.Transport) { tr.IdleConnTimeout = time.Microsecond })
}

// CloseIdleConnections beside requests fails none of them, and leaves nothing when they are done.
func TestCloseIdleConnectionsBesideRequests(t *testing.T) {
	everywhere(t, echo, func(s *story) {
		stop := make(chan struct{})
		var closer, wg sync.WaitGroup
		closer.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					s.rt.CloseIdleConnections()
				}
			}
		})
		for range 4 {
			wg.Go(func() {
				for range 50 {
					assert.Equal(s, "GET ", s.read(s.get("/")))
				}
			})
		}
		wg.Wait()
		close(stop)
		closer.Wait()
		s.rt.CloseIdleConnections()
		if s.ours != nil {
			s.eventually("nothing is left", func() bool { return s.ours.Stats().Open == 0 })
		}
	})
}

// PutIdleConn is called when the connection is available already: a request from within the hook has it.
func TestPutIdleConnComesAfter(t *testing.T) {
	ours1(t, echo, func(s *story) {
		done := make(chan bool, 1)
		req := s.request(http.MethodGet, "/", nil)
		ctx := withPutIdle(req.Context(), func(err error) {
			assert.NoError(s, err)
			done <- (<-s.async(s.Context(), "/")).reused
		})
		s.read(s.send(req.WithContext(ctx)))
		assert.True(s, <-done)
		s.wantDials(1)
	})
}

func withPutIdle(ctx context.Context, hook func(error)) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{PutIdleConn: hook})
}
