package transport_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"testing"
	"weak"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A request is not kept once its exchange is over, however that ended, not even by the connection that it leaves in the
// pool.
func TestRequestsAreCollected(t *testing.T) {
	handler := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if r.URL.Path == "/" {
			hang(w, r)
		}
		sized(w, r)
	}
	for name, exchange := range map[string]func(*story) weak.Pointer[http.Request]{
		"small response": func(s *story) weak.Pointer[http.Request] {
			req := s.request(http.MethodPost, "/10", strings.NewReader("hello"))
			s.read(s.send(req))
			return weak.Make(req)
		},
		"streamed both ways": func(s *story) weak.Pointer[http.Request] {
			req := s.request(http.MethodPost, "/1000000", io.LimitReader(endless{}, 1000000))
			s.read(s.send(req))
			return weak.Make(req)
		},
		"cancelled by CancelRequest": func(s *story) weak.Pointer[http.Request] {
			req := s.request(http.MethodGet, "/1000000", nil)
			resp := s.send(req)
			s.rt.CancelRequest(req)
			assert.NoError(s, resp.Body.Close())
			return weak.Make(req)
		},
		"ended by its context": func(s *story) weak.Pointer[http.Request] {
			ctx, cancel := context.WithCancel(s.Context())
			req := s.request(http.MethodPost, "/", bytes.NewReader(pattern(100))).WithContext(ctx)
			stop := make(chan struct{})
			go func() { defer close(stop); cancel() }()
			_, err := s.rt.RoundTrip(req)
			assert.ErrorIs(s, err, context.Canceled)
			<-stop
			return weak.Make(req)
		},
	} {
		t.Run(name, func(t *testing.T) {
			everywhere(t, handler, func(s *story) {
				gone := exchange(s)
				s.eventually("collected", func() bool { runtime.GC(); return gone.Value() == nil })
				dials := s.dials.Load()
				s.read(s.get("/10"))
				if name == "small response" || name == "streamed both ways" {
					s.wantDials(dials) // the connection was idle all the time
				}
			})
		})
	}
}

// An unguardedBody is for one goroutine at a time; the race detector sees others.
type unguardedBody struct {
	calls  int
	onRead func()
}

func (b *unguardedBody) Read(p []byte) (int, error) {
	b.calls++
	if b.onRead != nil {
		b.onRead()
	}
	return len(p), nil
}

func (b *unguardedBody) Close() error {
	b.calls++
	return nil
}

// Once RoundTrip has returned an error, the request, its header and its body are the caller's again.
func TestAFailedRequestIsTheCallersAgain(t *testing.T) {
	handler := func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }
	tell := func(s *story) {
		for i := range 20 {
			ctx, cancel := context.WithCancel(s.Context())
			var once sync.Once
			body := &unguardedBody{onRead: func() { once.Do(func() { go cancel() }) }}
			if i%2 == 0 {
				body.onRead = nil
				go cancel()
			}
			req := s.request(http.MethodPost, "/", body).WithContext(ctx)
			req.Header.Set("A", "b")
			req.Trailer = http.Header{"End": {"bye"}}
			resp, err := s.rt.RoundTrip(req)
			if s.ours == nil && err == nil { // net/http says goodbye on TLS, and takes the answer to that
				require.NoError(s, resp.Body.Close())
				cancel()
				continue
			}
			require.ErrorIs(s, err, context.Canceled)
			body.calls = 0
			req.Header.Set("A", "c")
			req.Trailer.Set("End", "later")
			req.ContentLength, req.Body, req.Host = 5, nil, "c.example"
			cancel()
		}
	}
	everywhere1(t, handler, tell)
	t.Run("http2", func(t *testing.T) { tell(newHTTP2Story(t, handler, false)) }) // net/http's goes on for a moment
}

// RoundTrip changes nothing in a request, whatever it adds on the wire.
func TestRequestIsNeverChanged(t *testing.T) {
	for name, change := range map[string]func(*http.Request){
		"plain":          func(*http.Request) {},
		"fields decided": func(r *http.Request) { r.Header["Host"] = []string{"a"}; r.Header["Content-Length"] = []string{"9"} },
		"Close":          func(r *http.Request) { r.Close = true },
		"chunked":        func(r *http.Request) { r.TransferEncoding = []string{"chunked"} },
		"trailer":        func(r *http.Request) { r.ContentLength, r.Trailer = -1, http.Header{"end": {"bye"}} },
		"no body":        func(r *http.Request) { r.Body, r.ContentLength, r.GetBody = http.NoBody, 0, nil },
		"HEAD":           func(r *http.Request) { r.Method, r.Body, r.ContentLength = "HEAD", nil, 0 },
		"no method":      func(r *http.Request) { r.Method = "" },
		"own host":       func(r *http.Request) { r.Host = "bücher.example" },
		"user info":      func(r *http.Request) { r.URL.User = url.UserPassword("user", "secret") },
		"refused":        func(r *http.Request) { r.Header["A"] = []string{"\n"} },
	} {
		t.Run(name, func(t *testing.T) {
			everywhere(t, echo, func(s *story) {
				req := s.request(http.MethodPost, "/", bytes.NewReader(pattern(100)))
				change(req)
				before, target := req.Clone(s.Context()), *req.URL
				shallow := *req
				if resp, err := s.rt.RoundTrip(req); err == nil {
					assert.Same(s, req, resp.Request)
					s.read(resp)
				}
				assert.Equal(s, before.Header, req.Header)
				assert.Equal(s, before.Trailer, req.Trailer)
				assert.Equal(s, before.TransferEncoding, req.TransferEncoding)
				assert.Equal(s, &target, req.URL)
				assert.Same(s, shallow.URL, req.URL)
				shallow.GetBody, req.GetBody = nil, nil // functions do not compare
				assert.Equal(s, &shallow, req)
			})
		})
	}
}
