package transport_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/internal/badserver"
)

// expecting lets a request's body wait for leave.
func expecting(r *http.Request) { r.Header.Set("Expect", "100-continue") }

// A final answer in place of "100 Continue": where either side ends the connection the body stays unread, elsewhere it
// is sent, as announced, and the connection serves on.
func TestExpectAnsweredAtOnce(t *testing.T) {
	for _, status := range []string{"200 OK", "401 Unauthorized", "500 Oh No"} {
		for _, closes := range []string{"server", "client", "nobody"} {
			t.Run(status[:3]+" "+closes, func(t *testing.T) {
				answer := "HTTP/1.1 " + status + "\r\nContent-Length: 2\r\n\r\nok"
				if closes == "server" {
					answer = strings.Replace(answer, "\r\n", "\r\nConnection: close\r\n", 1)
				}
				script := badserver.Script{badserver.ReadHead{}, badserver.Write(answer)}
				if closes == "nobody" {
					script = append(script, badserver.Read(5), badserver.ReadHead{}, badserver.Write(okResponse))
				}
				againstBad(t, func(t *testing.T, rt roundTripper, server *badserver.Server) {
					body := &countedBody{Reader: strings.NewReader("hello")}
					_, got, err := do(t, rt, http.MethodPut, server.URL, "hello", func(r *http.Request) {
						expecting(r)
						r.Body, r.Close = body, closes == "client"
					})
					require.NoError(t, err)
					assert.Equal(t, "ok", got)
					require.Eventually(t, func() bool { return body.closes.Load() == 1 }, 10*time.Second, time.Millisecond, "closes")
					assert.Equal(t, closes == "nobody", body.reads.Load() > 0, "read")
					if closes == "nobody" {
						_, _, err = do(t, rt, http.MethodGet, server.URL, "", nil)
						require.NoError(t, err)
						assert.Equal(t, 1, server.Accepted())
					}
				}, append(script, badserver.Stall{}))
			})
		}
	}
}

// Where nobody answers, the body is sent once ExpectContinueTimeout has passed; a "100 Continue" that comes later is
// passed over.
func TestExpectTimesOut(t *testing.T) {
	for name, timeout := range map[string]time.Duration{"a moment": 5 * time.Millisecond, "none": 0} {
		t.Run(name, func(t *testing.T) {
			handler := func(w http.ResponseWriter, r *http.Request) {
				c, rw, err := w.(http.Hijacker).Hijack()
				if err != nil {
					return
				}
				defer c.Close()
				body := make([]byte, r.ContentLength)
				_, _ = io.ReadFull(rw, body)
				_, _ = io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"+string(body))
			}
			everywhere1(t, handler, func(s *story) {
				var waits, leaves atomic.Int32
				req := s.request(http.MethodPost, "/", strings.NewReader("hello"))
				expecting(req)
				traced(&httptrace.ClientTrace{
					Wait100Continue: func() { waits.Add(1) },
					Got100Continue:  func() { leaves.Add(1) },
				})(req)
				assert.Equal(s, "hello", s.read(s.send(req)))
				assert.EqualValues(s, 1, waits.Load(), "waits")
				assert.EqualValues(s, 1, leaves.Load(), "leaves")
			}, func(tr *http.Transport) { tr.ExpectContinueTimeout = timeout })
		})
	}
}

// The trace sees the head, the wait and the leave to send, and then the request's end; nothing of the body is read
// before the leave.
func TestExpectIsTraced(t *testing.T) {
	againstBad(t, func(t *testing.T, rt roundTripper, server *badserver.Server) {
		body := &countedBody{Reader: strings.NewReader("hello")}
		events := make(chan string, 10)
		_, _, err := do(t, rt, http.MethodPost, server.URL, "hello", func(r *http.Request) {
			expecting(r)
			r.Body = body
			traced(&httptrace.ClientTrace{
				WroteHeaders:    func() { events <- "headers" },
				Wait100Continue: func() { events <- "wait" },
				Got100Continue: func() {
					assert.Zero(t, body.reads.Load())
					events <- "leave"
				},
				WroteRequest: func(info httptrace.WroteRequestInfo) {
					assert.NoError(t, info.Err)
					events <- "request"
				},
			})(r)
		})
		require.NoError(t, err)
		got := []string{<-events, <-events, <-events, <-events}
		assert.Equal(t, "headers", got[0])
		assert.ElementsMatch(t, []string{"wait", "leave"}, got[1:3]) // a quick server need not wait for our wait
		assert.Equal(t, "request", got[3])
		assert.Empty(t, events)
	}, badserver.Script{
		badserver.ReadHead{}, badserver.Write("HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"),
		badserver.Read(5), badserver.Write(okResponse), badserver.Stall{},
	})
}

// A body that waits and is not sent was not touched: the caller's context ends the wait, and the body is closed.
func TestExpectEndsWithTheContext(t *testing.T) {
	// The handler waits until the client leaves.
	handler := func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor == 2 {
			<-r.Context().Done()
			return
		}
		c, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			_, _ = io.Copy(io.Discard, c)
			_ = c.Close()
		}
	}
	everywhere(t, handler, func(s *story) {
		body := &countedBody{Reader: strings.NewReader("hello")}
		req := s.request(http.MethodPost, "/", body)
		req.ContentLength = 5
		expecting(req)
		ctx, cancel := context.WithCancel(s.Context())
		trace := &httptrace.ClientTrace{Wait100Continue: cancel}
		req = req.WithContext(httptrace.WithClientTrace(ctx, trace))
		_, err := s.rt.RoundTrip(req)
		assert.ErrorIs(s, err, context.Canceled)
		s.eventually("body closed", func() bool { return body.closes.Load() == 1 })
		assert.Zero(s, body.reads.Load())
	}, func(tr *http.Transport) { tr.ExpectContinueTimeout = time.Hour })
}
