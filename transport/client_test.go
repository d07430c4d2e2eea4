package transport_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/internal/memnet"
	"github.com/watertight-go/watertight/transport"
)

// hang answers "/head" never and "/body" with a first part only, until the client goes away.
func hang(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/body" {
		_, _ = w.Write(pattern(20000))
		w.(http.Flusher).Flush()
	}
	<-r.Context().Done()
	panic(http.ErrAbortHandler) // or the server would complete the response, and a client that is leaving might take it
}

// http.Client says that its Timeout was the reason, before the response's head and in its body.
func TestClientTimeoutIsNamed(t *testing.T) {
	t.Parallel()
	everywhere(t, hang, func(s *story) {
		clientTimeoutIsNamed(s, &http.Client{Transport: s.rt})
		clientTimeoutIsNamed(s, &http.Client{Transport: &transport.Guard{Base: s.rt}})
		if s.ours != nil {
			clientTimeoutIsNamed(s, s.ours.Client(0))
		}
	})
}

// A request that ends for another reason than its client's Timeout is not held up by what that does at its end: a ResponseHeaderTimeout
// not at all, a deadline of the caller's own, which looks like the client's, for a moment.
func TestClientTimeoutHoldsUpNothingElse(t *testing.T) {
	bubble(t, hang, func(t *testing.T, _ *memnet.Network, _ *http.Server, tr *transport.Transport) {
		client := &http.Client{Transport: tr, Timeout: time.Hour}
		began := time.Now() // of the bubble: its clock stands still while anybody works
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://a.example/head", nil)
		require.NoError(t, err)
		_, err = client.Do(req)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.NotContains(t, err.Error(), "Client.Timeout")
		assert.LessOrEqual(t, time.Since(began), time.Minute+10*time.Millisecond)

		tr = tr.Clone()
		tr.ResponseHeaderTimeout = time.Minute
		client.Transport = tr
		began = time.Now()
		_, err = client.Get("http://a.example/head")
		require.ErrorContains(t, err, "ResponseHeaderTimeout")
		assert.Equal(t, time.Minute, time.Since(began))
		require.NoError(t, tr.Close())
	})
}

func clientTimeoutIsNamed(s *story, client *http.Client) {
	client.Timeout = 30 * time.Millisecond
	_, err := client.Get(s.server.URL + "/head")
	require.Error(s, err)
	assert.Contains(s, err.Error(), "Client.Timeout exceeded while awaiting headers")
	var ue *url.Error
	require.ErrorAs(s, err, &ue)
	assert.True(s, ue.Timeout())

	var resp *http.Response
	for client.Timeout = 100 * time.Millisecond; client.Timeout < patience; client.Timeout *= 2 { // the head must come within it
		if resp, err = client.Get(s.server.URL + "/body"); err == nil {
			break
		}
	}
	require.NoError(s, err)
	_, err = io.ReadAll(resp.Body)
	closed := resp.Body.Close()
	if s.ours != nil { // net/http sometimes takes the end it made itself for the body's, and says it again on Close
		assert.ErrorContains(s, err, "Client.Timeout or context cancellation while reading body")
		assert.NoError(s, closed)
	}
}

// A client of ours gives its requests' contexts the deadline, and does without Request.Cancel and the goroutine behind it.
func TestClient(t *testing.T) {
	tr := &transport.Transport{}
	defer tr.Close()
	type seen struct {
		deadline   time.Time
		limited    bool
		cancel     <-chan struct{}
		goroutines int
	}
	var last seen
	tr.RegisterProtocol("look", roundTripFunc(func(req *http.Request) (*http.Response, error) {
		last = seen{cancel: req.Cancel, goroutines: runtime.NumGoroutine()}
		last.deadline, last.limited = req.Context().Deadline()
		return &http.Response{StatusCode: http.StatusNoContent, Body: http.NoBody, Request: req}, nil
	}))

	before := runtime.NumGoroutine()
	began := time.Now()
	_, err := tr.Client(time.Hour).Get("look://somewhere")
	require.NoError(t, err)
	assert.Nil(t, last.cancel)
	assert.LessOrEqual(t, last.goroutines, before)
	assert.True(t, last.limited)
	assert.WithinRange(t, last.deadline, began.Add(time.Hour), time.Now().Add(time.Hour))

	for _, none := range []time.Duration{0, -time.Second} {
		_, err = tr.Client(none).Get("look://somewhere")
		require.NoError(t, err)
		assert.False(t, last.limited)
	}
}

// A client of ours closes the idle connections of its Transport, and the collector finds the bodies that its callers drop.
func TestClientClosesOurs(t *testing.T) {
	ours(t, sized, func(s *story) {
		leaks := s.leaks()
		client := s.ours.Client(time.Hour)
		_, err := client.Get(s.server.URL + "/10000000")
		require.NoError(s, err)
		s.eventuallyCollected("the body found", func() bool { return len(leaks()) == 1 })
		resp, err := client.Get(s.server.URL + "/10")
		require.NoError(s, err)
		s.read(resp)
		client.CloseIdleConnections()
		s.eventually("closed", func() bool { return s.ours.Stats().Open == 0 })
	})
}

// Request.Cancel and CancelRequest end a request while it waits for its head and in the body. Later calls hit nobody
// else.
func TestLegacyCancellation(t *testing.T) {
	for name, cancel := range map[string]func(*story, *http.Request) func(){
		"Cancel": func(_ *story, req *http.Request) func() {
			ch := make(chan struct{})
			req.Cancel = ch
			return func() { close(ch) }
		},
		"CancelRequest": func(s *story, req *http.Request) func() {
			return func() { s.rt.CancelRequest(req) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			arrived := make(chan struct{}, 8)
			handler := func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/ok" {
					return
				}
				arrived <- struct{}{}
				hang(w, r)
			}
			everywhere1(t, handler, func(s *story) {
				req := s.request(http.MethodGet, "/head", nil)
				end := cancel(s, req)
				go func() {
					<-arrived
					end()
				}()
				_, err := s.rt.RoundTrip(req)
				assert.ErrorContains(s, err, "request canceled")

				req = s.request(http.MethodGet, "/body", nil)
				end = cancel(s, req)
				resp := s.send(req)
				<-arrived
				_, err = io.ReadFull(resp.Body, make([]byte, 20000))
				require.NoError(s, err)
				end()
				_, err = io.ReadAll(resp.Body)
				if s.ours != nil { // net/http sometimes takes the end it made itself for the body's
					assert.ErrorContains(s, err, "request canceled")
				}
				assert.NoError(s, resp.Body.Close())

				ok := s.request(http.MethodGet, "/ok", nil)
				s.read(s.send(ok))
				s.rt.CancelRequest(ok)
				s.rt.CancelRequest(req)
				s.read(s.get("/ok"))
			})
		})
	}
}

// A request whose Cancel was closed before there was a response has none, however soon that comes; one that was closed before RoundTrip
// is not sent. The connection goes on where the response was whole.
func TestCancelClosedEarly(t *testing.T) {
	var mu sync.Mutex
	var cancel chan struct{}
	var requests atomic.Int64
	handler := func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		mu.Lock()
		defer mu.Unlock()
		if cancel != nil {
			close(cancel)
			cancel = nil
		}
		sized(w, r)
	}
	ours(t, handler, func(s *story) {
		for _, path := range []string{"/10?length", "/1000000?length"} {
			ch := make(chan struct{})
			mu.Lock()
			cancel = ch
			mu.Unlock()
			req := s.request(http.MethodGet, path, nil)
			req.Cancel = ch
			_, err := s.rt.RoundTrip(req)
			assert.ErrorContains(s, err, "request canceled", path)
			s.eventually("nothing held", func() bool { return s.ours.Stats().Leased == 0 })

			before := requests.Load()
			_, err = s.rt.RoundTrip(req)
			assert.ErrorContains(s, err, "request canceled", path)
			assert.Equal(s, before, requests.Load())

			req.Cancel = nil
			s.read(s.send(req))
		}
	})
}

// Redirects are followed with and without bodies, cookies are kept, and CheckRedirect is asked.
func TestClientFollowsRedirects(t *testing.T) {
	handler := func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/307":
			http.SetCookie(w, &http.Cookie{Name: "k", Value: "v", Path: "/"})
			http.Redirect(w, r, "/end", http.StatusTemporaryRedirect)
		case "/303":
			http.Redirect(w, r, "/end", http.StatusSeeOther)
		case "/end":
			c, _ := r.Cookie("k")
			b, _ := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%s %s %v", r.Method, b, c != nil)
		}
	}
	everywhere(t, handler, func(s *story) {
		jar, err := cookiejar.New(nil)
		require.NoError(s, err)
		client := &http.Client{Transport: s.rt, Jar: jar}
		resp, err := client.Post(s.server.URL+"/307", "text/plain", strings.NewReader("hello"))
		require.NoError(s, err)
		assert.Equal(s, "POST hello true", s.read(resp))
		resp, err = client.Post(s.server.URL+"/303", "text/plain", strings.NewReader("hello"))
		require.NoError(s, err)
		assert.Equal(s, "GET  true", s.read(resp))

		stop := errors.New("no further")
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return stop }
		resp, err = client.Get(s.server.URL + "/303")
		require.ErrorIs(s, err, stop)
		assert.NoError(s, resp.Body.Close())
		client.CloseIdleConnections()
	})
}
