package transport_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/transport"
)

// lateEcho answers 30 ms late, with the request's own number again and again.
func lateEcho(w http.ResponseWriter, r *http.Request) {
	time.Sleep(30 * time.Millisecond)
	_, _ = io.WriteString(w, strings.Repeat(r.URL.RawQuery+" ", 1+len(r.URL.Path)*100))
}

// 3,000 requests that give up after 20 ms, on a server that answers after 30 ms, open few connections; and whoever waits gets
// the answer to the own request, never to one of those.
func TestSalvageAfterTimeouts(t *testing.T) {
	ours1(t, lateEcho, func(s *story) {
		s.ours.SalvageTimeout = 5 * time.Second
		var wg sync.WaitGroup
		var number, answered atomic.Int64
		for range 32 {
			wg.Go(func() {
				for n := number.Add(1); n <= 3000; n = number.Add(1) {
					patient := n%10 == 0 || n <= 32 // a handshake may take longer than 20 ms
					limit := 20 * time.Millisecond
					if patient {
						limit = patience
					}
					ctx, cancel := context.WithTimeout(s.Context(), limit)
					req := s.request(http.MethodGet, "/"+strings.Repeat("x", int(n%7)*10)+"?"+strconv.FormatInt(n, 10), nil).WithContext(ctx)
					resp, err := s.rt.RoundTrip(req)
					if err == nil {
						var b []byte
						if b, err = io.ReadAll(resp.Body); err == nil {
							assert.Equal(s, strings.Repeat(req.URL.RawQuery+" ", 1+len(req.URL.Path)*100), string(b))
							answered.Add(1)
						}
						_ = resp.Body.Close()
					}
					if patient {
						assert.NoError(s, err)
					} else if err != nil {
						assert.ErrorIs(s, err, context.DeadlineExceeded)
					}
					cancel()
				}
			})
		}
		wg.Wait()
		assert.GreaterOrEqual(s, answered.Load(), int64(300))
		assert.Less(s, s.dials.Load(), int64(300), "connections opened for 3000 requests")
		assert.Positive(s, s.ours.Stats().Salvaged)
		s.Logf("%d connections opened, %d salvaged, closed: %v", s.dials.Load(), s.ours.Stats().Salvaged, s.ours.Stats().Closes)
	})
}

// Without SalvageTimeout a cancelled request costs its connection, as it does with net/http.
func TestNoSalvageByDefault(t *testing.T) {
	arrived := make(chan struct{})
	handler := func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hang" {
			arrived <- struct{}{}
			<-r.Context().Done()
			panic(http.ErrAbortHandler)
		}
	}
	everywhere1(t, handler, func(s *story) {
		s.read(s.get("/"))
		ctx, cancel := context.WithCancel(s.Context())
		go func() {
			<-arrived
			cancel()
		}()
		_, err := s.rt.RoundTrip(s.request(http.MethodGet, "/hang", nil).WithContext(ctx))
		assert.ErrorIs(s, err, context.Canceled)
		s.read(s.get("/"))
		s.wantDials(2)
	})
}

// A request that is cancelled while its body is read is salvaged where little is left; its context's cause is what the Read
// says, and the next request has the connection.
func TestSalvageOfABody(t *testing.T) {
	release := make(chan struct{}, 1)
	handler := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, strings.Repeat("a", 10000))
		w.(http.Flusher).Flush()
		if r.URL.Path == "/wait" {
			<-release
			_, _ = io.WriteString(w, strings.Repeat("b", 10000))
		}
	}
	ours1(t, handler, func(s *story) {
		s.ours.SalvageTimeout = patience
		for _, reading := range []bool{false, true} {
			ctx, cancel := context.WithCancelCause(s.Context())
			resp := s.send(s.request(http.MethodGet, "/wait", nil).WithContext(ctx))
			_, err := io.ReadFull(resp.Body, make([]byte, 10000))
			require.NoError(s, err)
			done := make(chan error, 1)
			if reading {
				go func() {
					_, err := resp.Body.Read(make([]byte, 1))
					done <- err
				}()
			}
			cancel(io.ErrClosedPipe)
			if !reading {
				_, err = resp.Body.Read(make([]byte, 1))
				done <- err
			}
			assert.Equal(s, io.ErrClosedPipe, <-done)
			release <- struct{}{}
			s.eventually("salvaged", func() bool { return s.ours.Stats().Idle == 1 })
		}
		assert.Len(s, s.read(s.get("/")), 10000)
		s.wantDials(1)
		assert.EqualValues(s, 2, s.ours.Stats().Salvaged)
	})
}

// A server that never answers costs SalvageTimeout and the connection; Close does not wait for it.
func TestSalvageIsBounded(t *testing.T) {
	for name, closed := range map[string]bool{"timeout": false, "closed": true} {
		t.Run(name, func(t *testing.T) {
			arrived := make(chan struct{})
			handler := func(_ http.ResponseWriter, r *http.Request) {
				arrived <- struct{}{}
				<-r.Context().Done()
			}
			ours1(t, handler, func(s *story) {
				s.ours.SalvageTimeout = 20 * time.Millisecond
				if closed {
					s.ours.SalvageTimeout = time.Hour
				}
				ctx, cancel := context.WithCancel(s.Context())
				go func() {
					<-arrived
					cancel()
				}()
				_, err := s.rt.RoundTrip(s.request(http.MethodGet, "/", nil).WithContext(ctx))
				require.ErrorIs(s, err, context.Canceled)
				if closed {
					assert.Equal(s, 1, s.ours.Stats().Leased)
					require.NoError(s, s.ours.Shutdown(s.Context()))
				}
				s.eventually("closed", func() bool { return s.ours.Stats().Open == 0 })
				assert.EqualValues(s, 1, s.ours.Stats().Closes[transport.ReasonCancelled])
				assert.Zero(s, s.ours.Stats().Salvaged)
			})
		})
	}
}

// A response with more left than MaxDrainBytes, and one of a request that was not written whole, are not waited for.
func TestSalvageOnlyWhatIsCheap(t *testing.T) {
	ours1(t, sized, func(s *story) {
		s.ours.SalvageTimeout, s.ours.MaxDrainBytes = patience, 1000
		ctx, cancel := context.WithCancel(s.Context())
		resp := s.send(s.request(http.MethodGet, "/1000000", nil).WithContext(ctx))
		cancel()
		s.eventually("closed", func() bool { return s.ours.Stats().Open == 0 })
		_, err := resp.Body.Read(make([]byte, 1))
		assert.ErrorIs(s, err, context.Canceled)

		ctx, cancel = context.WithCancel(s.Context())
		ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: cancel})
		r, w := io.Pipe()
		defer w.Close()
		_, err = s.rt.RoundTrip(s.request(http.MethodPost, "/10", r).WithContext(ctx))
		require.ErrorIs(s, err, context.Canceled)
		s.eventually("closed", func() bool { return s.ours.Stats().Open == 0 })
		assert.Zero(s, s.ours.Stats().Salvaged)
	})
}
