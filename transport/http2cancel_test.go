package transport_test

import (
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptrace"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A request that is cancelled at any of its moments returns the context's error, resets its stream and nothing else, leaves its body
// to the caller, closed once, and the connection to the next.
func TestHTTP2CancelledAtEachMoment(t *testing.T) {
	for _, moment := range []string{"before", "with the connection", "at its head", "during the upload", "behind the upload", "at the answer", "in the body"} {
		t.Run(moment, func(t *testing.T) {
			var at streams
			uploaded := make(chan struct{}, 1)
			handler := func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodGet {
					return
				}
				if moment == "behind the upload" {
					_, _ = io.Copy(io.Discard, r.Body)
					uploaded <- struct{}{}
				}
				if moment == "at the answer" || moment == "in the body" {
					_, _ = w.Write(pattern(20000))
					w.(http.Flusher).Flush()
				}
				<-r.Context().Done()
			}
			s := newHTTP2Story(t, at.count(handler), false)
			s.read(s.get("/"))
			ctx, cancel := context.WithCancel(s.Context())
			defer cancel()
			at0 := func(name string) {
				if name == moment {
					cancel()
				}
			}
			at0("before")
			trace := &httptrace.ClientTrace{
				GotConn:              func(httptrace.GotConnInfo) { at0("with the connection") },
				WroteHeaders:         func() { at0("at its head") },
				GotFirstResponseByte: func() { at0("at the answer") },
			}
			var from io.Reader = io.LimitReader(endless{}, 10)
			if moment == "during the upload" {
				from = &thenCancel{cancel: cancel, left: 3}
			}
			body := &countedBody{Reader: from}
			req := s.request(http.MethodPost, "/", body).WithContext(httptrace.WithClientTrace(ctx, trace))
			if moment == "behind the upload" {
				go func() { <-uploaded; cancel() }()
			}
			resp, err := s.rt.RoundTrip(req)
			if err == nil {
				if moment == "in the body" {
					_, err = io.ReadFull(resp.Body, make([]byte, 10))
					require.NoError(s, err)
					cancel()
				}
				_, err = io.ReadAll(resp.Body)
				assert.NoError(s, resp.Body.Close())
			}
			assert.Equal(s, context.Canceled, err)
			s.eventually("no stream", func() bool { return at.open.Load() == 0 })
			s.eventually("closed", func() bool { return body.closes.Load() == 1 })
			s.wantNothingHeld()
			s.read(s.get("/"))
			s.wantDials(1)
		})
	}
}

// thenCancel is a body that cancels its request at one of its Reads, and goes on.
type thenCancel struct {
	cancel func()
	left   int
}

func (b *thenCancel) Read(p []byte) (int, error) {
	if b.left--; b.left == 0 {
		b.cancel()
	}
	return endless{}.Read(p)
}

// However many requests come and go, are cancelled and leave bodies half read, while connections are closed under them: nothing is
// left when all have ended.
func TestHTTP2UnderStress(t *testing.T) {
	var at streams
	s := newHTTP2Story(t, at.count(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			_, _ = io.CopyN(io.Discard, r.Body, rand.Int64N(100000))
		}
		sized(w, r)
	}), false, func(tr *http.Transport) { tr.MaxConnsPerHost = 2 })
	over, left := make(chan struct{}), sync.WaitGroup{}
	left.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-over:
				return
			case <-time.After(5 * time.Millisecond):
			}
			if s.rt.CloseIdleConnections(); i%10 == 9 {
				s.server.CloseClientConnections()
			}
		}
	})
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 60 {
				ctx, cancel := context.WithTimeout(s.Context(), time.Duration(rand.Int64N(int64(20*time.Millisecond))))
				var body io.Reader
				method := http.MethodGet
				if rand.N(3) == 0 {
					method, body = http.MethodPost, io.LimitReader(endless{}, rand.Int64N(200000))
				}
				resp, err := s.rt.RoundTrip(s.request(method, "/100000", body).WithContext(ctx))
				if err == nil {
					_, _ = io.CopyN(io.Discard, resp.Body, rand.Int64N(200000))
					_ = resp.Body.Close()
				}
				cancel()
			}
		})
	}
	wg.Wait()
	close(over)
	left.Wait()
	s.wantNothingHeld()
	s.eventually("no stream", func() bool { return at.open.Load() == 0 })
	ctx, cancel := context.WithTimeout(s.Context(), patience)
	defer cancel()
	assert.NoError(s, s.ours.Shutdown(ctx))
	assert.Zero(s, s.ours.Stats().Open)
}
