package transport_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"

	"github.com/watertight-go/watertight/internal/badserver"
	"github.com/watertight-go/watertight/pool"
	"github.com/watertight-go/watertight/transport"
)

// resetsPuts resets PUTs, and answers other requests after what is said by path.
func resetsPuts(f *badserver.Frames) error {
	for {
		got, err := f.ReadFrame()
		if err != nil {
			return err
		}
		head, ok := got.(*http2.MetaHeadersFrame)
		switch {
		case !ok:
			err = f.Answer(got)
		case head.PseudoValue("method") == http.MethodPut:
			time.Sleep(time.Second) // it reads
			if head.PseudoValue("path") == "/early" {
				err = errors.Join(f.Head(head.StreamID, true, ":status", "413"), f.WriteRSTStream(head.StreamID, http2.ErrCodeNo))
			} else {
				err = f.WriteRSTStream(head.StreamID, http2.ErrCodeInternal)
			}
		case head.PseudoValue("path") == "/lower":
			err = errors.Join(f.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 1}), f.Head(head.StreamID, true, ":status", "200"))
		case head.PseudoValue("path") == "/open":
			err = f.Head(head.StreamID, false, ":status", "200")
		default:
			time.Sleep(time.Second) // of the bubble
			err = f.Head(head.StreamID, true, ":status", "200")
		}
		if err != nil {
			return err
		}
	}
}

// A stuckStory is one of uploads that are reset, and whose bodies' Reads are stuck.
type stuckStory struct {
	*testing.T
	ctx   context.Context // bounds all waiting
	tr    *transport.Transport
	freed chan struct{} // closed, the Reads return
}

// stuck tells a story of a server that allows so many streams.
func stuck(t *testing.T, limit uint32, config *http.HTTP2Config, tell func(s *stuckStory)) {
	pinged(t, config, resetsPuts, func(t *testing.T, tr *transport.Transport) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
		defer cancel()
		s := &stuckStory{t, ctx, tr, make(chan struct{})}
		defer close(s.freed)
		tell(s)
		tr.CloseIdleConnections()
		synctest.Wait()
		assert.Zero(t, tr.Stats().Open, "who is stuck holds no connection")
	}, http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: limit})
}

func (s *stuckStory) roundTrip(method, path string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(s.ctx, method, "http://a.example"+path, body)
	require.NoError(s, err)
	return s.tr.RoundTrip(req)
}

// reset has an upload reset.
func (s *stuckStory) reset() {
	_, err := s.roundTrip(http.MethodPut, "/", deafBody{s.freed})
	assert.ErrorContains(s, err, "INTERNAL_ERROR")
}

// answerEarly has an upload answered, and reset behind that.
func (s *stuckStory) answerEarly() {
	resp, err := s.roundTrip(http.MethodPut, "/early", deafBody{s.freed})
	if assert.NoError(s, err) {
		assert.Equal(s, http.StatusRequestEntityTooLarge, resp.StatusCode)
		assert.NoError(s, resp.Body.Close())
	}
	time.Sleep(time.Second) // it is known by then that the Read is stuck
}

func (s *stuckStory) get(path string) *http.Response {
	resp, err := s.roundTrip(http.MethodGet, path, nil)
	if !assert.NoError(s, err) {
		return &http.Response{Body: http.NoBody}
	}
	return resp
}

func (s *stuckStory) wantDials(n int64) { assert.Equal(s, n, s.tr.Stats().Dials) }

// The stream of a request that was reset while its body's Read is stuck is open to the codec until that returns. Nobody waits for it: as
// long as a connection has other streams those are lent, and then there is another connection.
func TestHTTP2StuckBodyHoldsUpNobody(t *testing.T) {
	for name, row := range map[string]struct {
		limit   uint32
		uploads int
		early   bool // they are answered
		conns   int  // MaxConnsPerHost
		strict  bool
		dials   int64
	}{
		"all there are":         {limit: 1, uploads: 1, dials: 2},
		"both, and one more":    {limit: 2, uploads: 3, dials: 2},
		"one of many":           {limit: 100, uploads: 1, dials: 1},
		"most of many":          {limit: 100, uploads: 51, dials: 2},
		"under MaxConnsPerHost": {limit: 1, uploads: 3, conns: 1, dials: 4},
		"strictly":              {limit: 1, uploads: 2, strict: true, dials: 3},
		"answered":              {limit: 1, uploads: 2, early: true, dials: 3},
	} {
		t.Run(name, func(t *testing.T) {
			stuck(t, row.limit, &http.HTTP2Config{StrictMaxConcurrentRequests: row.strict}, func(s *stuckStory) {
				s.tr.MaxConnsPerHost = row.conns
				for range row.uploads {
					if row.early {
						s.answerEarly()
					} else {
						s.reset()
					}
				}
				for range 5 {
					assert.NoError(s, s.get("/").Body.Close())
				}
				s.wantDials(row.dials)
			})
		})
	}
}

// Many who come while a body is stuck have as many connections as they would have without it, and one more.
func TestHTTP2StuckBodyAmongMany(t *testing.T) {
	for name, row := range map[string]struct {
		limit uint32
		conns int // MaxConnsPerHost
		dials int64
	}{
		"a stream each":         {1, 0, 1001},
		"under MaxConnsPerHost": {1, 7, 8},
		"many streams":          {100, 0, 11},
	} {
		t.Run(name, func(t *testing.T) {
			stuck(t, row.limit, nil, func(s *stuckStory) {
				s.tr.MaxConnsPerHost = row.conns
				var all sync.WaitGroup
				all.Go(s.reset)
				synctest.Wait()
				for range 1000 {
					all.Go(func() { assert.NoError(s, s.get("/").Body.Close()) })
				}
				all.Wait()
				s.wantDials(row.dials)
			})
		})
	}
}

// When the Read returns, the stream is another's, who waited for one.
func TestHTTP2StuckBodyGivesItsStreamBack(t *testing.T) {
	for name, config := range map[string]*http.HTTP2Config{"MaxConnsPerHost": nil, "StrictMaxConcurrentRequests": {StrictMaxConcurrentRequests: true}} {
		t.Run(name, func(t *testing.T) {
			stuck(t, 2, config, func(s *stuckStory) {
				s.tr.MaxConnsPerHost = 1
				s.reset()
				open := s.get("/open")
				got := make(chan *http.Response)
				go func() { got <- s.get("/") }()
				time.Sleep(10 * time.Second)
				assert.Equal(s, 1, s.tr.Stats().Waiting)
				s.freed <- struct{}{}
				assert.NoError(s, (<-got).Body.Close())
				assert.NoError(s, open.Body.Close())
				s.wantDials(1)
			})
		})
	}
}

// A server may come to allow no more streams than those that are held.
func TestHTTP2StuckBodyHasTheLastStream(t *testing.T) {
	stuck(t, 4, nil, func(s *stuckStory) {
		s.reset()
		assert.NoError(s, s.get("/lower").Body.Close())
		assert.NoError(s, s.get("/").Body.Close())
		s.wantDials(2)
	})
}

// A connection of which a stream is held can be shut down, and becomes too old.
func TestHTTP2StuckBodyKeepsNoConnection(t *testing.T) {
	stuck(t, 100, nil, func(s *stuckStory) {
		s.tr.IdleConnTimeout = time.Minute
		s.reset()
		time.Sleep(2 * time.Minute)
		assert.EqualValues(s, 1, s.tr.Stats().Closes[pool.IdleTimeout])
		s.reset()
		assert.Equal(s, 1, s.tr.Stats().Open)
		assert.NoError(s, s.tr.Shutdown(s.ctx))
	})
}

// A shutBody is at its end, and its Close does not return before freed is closed.
type shutBody struct {
	io.Reader
	freed chan struct{}
}

func (b shutBody) Close() error { <-b.freed; return nil }

// Nor does anybody wait for a Close that does not return: neither who sent the body, nor others.
func TestHTTP2StuckCloseHoldsUpNobody(t *testing.T) {
	stuck(t, 1, nil, func(s *stuckStory) {
		for _, method := range []string{http.MethodPost, http.MethodPut} {
			began := time.Now()
			resp, err := s.roundTrip(method, "/", shutBody{strings.NewReader("all"), s.freed})
			if method == http.MethodPut {
				assert.ErrorContains(s, err, "INTERNAL_ERROR")
			} else if assert.NoError(s, err) {
				assert.NoError(s, resp.Body.Close())
			}
			assert.NoError(s, s.get("/").Body.Close())
			assert.Less(s, time.Since(began), 3*time.Second)
		}
		s.wantDials(1)
	})
}
