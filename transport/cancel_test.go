package transport_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/internal/badserver"
	"github.com/watertight-go/watertight/internal/memnet"
	"github.com/watertight-go/watertight/transport"
)

// waitsFor answers "/ok", and nothing else until the client goes away.
func waitsFor(w http.ResponseWriter, r *http.Request) {
	_, err := io.Copy(io.Discard, r.Body) // or the server would not look for the client's end
	if err != nil {
		panic(http.ErrAbortHandler) // it has gone: no answer, which it might still get
	}
	if r.URL.Path != "/ok" {
		hang(w, r)
	}
}

// CancelRequest ends a request wherever it is, also between the places where it waits; the next request is served.
func TestCancelRequestBetweenSteps(t *testing.T) {
	for name, at := range map[string]func(cancel func()) *httptrace.ClientTrace{
		"GetConn": func(cancel func()) *httptrace.ClientTrace {
			return &httptrace.ClientTrace{GetConn: func(string) { cancel() }}
		},
		"GotConn": func(cancel func()) *httptrace.ClientTrace {
			return &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { cancel() }}
		},
		"WroteHeaders": func(cancel func()) *httptrace.ClientTrace {
			return &httptrace.ClientTrace{WroteHeaders: cancel}
		},
		"WroteRequest": func(cancel func()) *httptrace.ClientTrace {
			return &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { cancel() }}
		},
	} {
		t.Run(name, func(t *testing.T) {
			everywhere1(t, waitsFor, func(s *story) {
				for range 2 { // on a new connection, and on one that served
					body := &countedBody{Reader: strings.NewReader("hello")}
					req := s.request(http.MethodPut, "/", body)
					trace := at(func() { s.rt.CancelRequest(req) })
					*req = *req.WithContext(httptrace.WithClientTrace(req.Context(), trace))
					_, err := s.rt.RoundTrip(req)
					assert.ErrorContains(s, err, "request canceled")
					s.eventually("closed", func() bool { return body.closes.Load() == 1 })
					s.read(s.get("/ok"))
				}
				s.wantNothingHeld()
			})
		})
	}
}

// A request that its proxy function cancels is not sent.
func TestCancelRequestFromProxy(t *testing.T) {
	var rt roundTripper
	cancel := func(tr *http.Transport) {
		tr.Proxy = func(req *http.Request) (*url.URL, error) {
			if req.URL.Path != "/ok" {
				rt.CancelRequest(req)
			}
			return nil, nil
		}
	}
	everywhere1(t, waitsFor, func(s *story) {
		rt = s.rt
		_, err := s.rt.RoundTrip(s.request(http.MethodGet, "/", nil))
		assert.ErrorContains(s, err, "request canceled")
		s.read(s.get("/ok"))
	}, cancel)
}

// A CancelRequest from before RoundTrip is another request's: callers use a request again.
func TestCancelRequestBeforeItsTime(t *testing.T) {
	everywhere(t, waitsFor, func(s *story) {
		req := s.request(http.MethodGet, "/ok", nil)
		for range 3 {
			s.rt.CancelRequest(req)
			s.rt.CancelRequest(req)
			s.read(s.send(req))
		}
		s.wantDials(1)
	})
}

// CancelRequest of nil is that of a request that nobody knows, also while others are on their way.
func TestCancelRequestOfNil(t *testing.T) {
	everywhere(t, sized, func(s *story) {
		s.rt.CancelRequest(nil)
		resp := s.get("/1000000")
		s.rt.CancelRequest(nil)
		assert.Len(s, s.read(resp), 1000000)
	})
}

// Requests that are cancelled over and over, at any moment and long after their end, never disturb those of another
// caller on the same connections.
func TestCancelRequestHitsNobodyElse(t *testing.T) {
	ours(t, sized, func(s *story) {
		var workers sync.WaitGroup
		for range 4 {
			workers.Go(func() {
				for range 60 {
					ctx, cancel := context.WithCancel(s.Context())
					req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.server.URL+"/10", nil)
					if !assert.NoError(s, err) {
						cancel()
						return
					}
					var canceller sync.WaitGroup
					canceller.Go(func() {
						for ctx.Err() == nil {
							s.rt.CancelRequest(req)
						}
					})
					if resp, err := s.rt.RoundTrip(req); err == nil {
						_, err = io.ReadAll(resp.Body)
						assert.True(s, err == nil || strings.Contains(err.Error(), "request canceled"), err)
						assert.NoError(s, resp.Body.Close())
					} else {
						assert.ErrorContains(s, err, "request canceled")
					}
					cancel()
					canceller.Wait()
				}
			})
			workers.Go(func() {
				for range 200 {
					resp, err := s.rt.RoundTrip(s.request(http.MethodGet, "/5000", nil))
					if !assert.NoError(s, err) {
						return
					}
					b, err := io.ReadAll(resp.Body)
					assert.NoError(s, errors.Join(err, resp.Body.Close()))
					assert.Len(s, b, 5000)
				}
			})
		}
		workers.Wait()
		s.wantNothingHeld()
		require.Empty(s, s.ours.Stats().Leaks)
	})
}

// An overdue context is about to end, as its deadline has passed.
type overdue struct{ context.Context }

func (overdue) Deadline() (time.Time, bool) { return time.Now(), true }

// An http.Client with a Timeout has its requests ended by a deadline and by Request.Cancel, each with a timer of its own. The error is that of
// the deadline, whichever comes first.
func TestCancelBesideADeadline(t *testing.T) {
	for _, path := range []string{"/head", "/body"} {
		t.Run(path, func(t *testing.T) {
			bubble(t, hang, func(t *testing.T, _ *memnet.Network, _ *http.Server, tr *transport.Transport) {
				ctx, end := context.WithCancelCause(t.Context())
				req, err := http.NewRequestWithContext(overdue{ctx}, http.MethodGet, "http://a.example"+path, nil)
				require.NoError(t, err)
				cancel := make(chan struct{})
				req.Cancel = cancel
				go func() {
					time.Sleep(time.Second)
					close(cancel)
					time.Sleep(time.Millisecond)
					end(context.DeadlineExceeded)
				}()
				resp, err := tr.RoundTrip(req)
				if path == "/body" {
					require.NoError(t, err)
					_, err = io.ReadAll(resp.Body)
					require.NoError(t, resp.Body.Close())
				}
				assert.Equal(t, context.DeadlineExceeded, err)
			})
		})
	}
}

// CancelRequest ends the tunnel of a CONNECT, which is its response's body.
func TestCancelRequestEndsATunnel(t *testing.T) {
	againstBad(t, func(t *testing.T, rt roundTripper, server *badserver.Server) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodConnect, server.URL, nil)
		require.NoError(t, err)
		resp, err := rt.RoundTrip(req)
		require.NoError(t, err)
		ended := make(chan error, 1)
		go func() {
			_, err := resp.Body.Read(make([]byte, 1))
			ended <- err
		}()
		rt.CancelRequest(req)
		err = <-ended
		require.Error(t, err)
		if _, ok := rt.(*transport.Transport); ok {
			assert.ErrorContains(t, err, "request canceled")
		}
		_ = resp.Body.Close()
		rt.CancelRequest(req)
	}, badserver.Script{badserver.ReadHead{}, badserver.Write("HTTP/1.1 200 OK\r\n\r\n"), badserver.Stall{}})
}
