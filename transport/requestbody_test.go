package transport_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A countedBody counts what the transport does to a request's body.
type countedBody struct {
	io.Reader
	reads, closes atomic.Int32
}

func (b *countedBody) Read(p []byte) (int, error) {
	b.reads.Add(1)
	return b.Reader.Read(p)
}

func (b *countedBody) Close() error {
	b.closes.Add(1)
	return nil
}

type failingReader struct{ err error }

func (r failingReader) Read([]byte) (int, error) { return 0, r.err }

// Request.Body is closed exactly once on every path, also where nothing is sent.
func TestRequestBodyIsClosedOnce(t *testing.T) {
	for name, change := range map[string]func(*http.Request){
		"sent":              func(*http.Request) {},
		"chunked":           func(r *http.Request) { r.ContentLength = -1 },
		"nil URL":           func(r *http.Request) { r.URL = nil },
		"nil header":        func(r *http.Request) { r.Header = nil },
		"bad method":        func(r *http.Request) { r.Method = "A B" },
		"bad header name":   func(r *http.Request) { r.Header["a b"] = []string{"c"} },
		"bad header value":  func(r *http.Request) { r.Header["A"] = []string{"b\nc"} },
		"bad trailer":       func(r *http.Request) { r.Trailer = http.Header{"a b": nil} },
		"bad scheme":        func(r *http.Request) { r.URL.Scheme = "gopher" },
		"no host":           func(r *http.Request) { r.URL.Host = "" },
		"failed dial":       func(r *http.Request) { r.URL.Host = "127.0.0.1:1" },
		"control character": func(r *http.Request) { r.URL.Opaque = "/a\nb" },
		"short":             func(r *http.Request) { r.ContentLength = 1 << 20 },
		"long":              func(r *http.Request) { r.ContentLength = 1 },
		"refused":           func(r *http.Request) { r.URL.Path = "/401" },
		"answer cut":        func(r *http.Request) { r.URL.Path = "/cut" },
		"expect, refused": func(r *http.Request) {
			r.URL.Path = "/401"
			r.Header.Set("Expect", "100-continue")
		},
	} {
		t.Run(name, func(t *testing.T) {
			handler := func(w http.ResponseWriter, r *http.Request) {
				switch r.URL.Path {
				case "/401":
					w.WriteHeader(http.StatusUnauthorized)
				case "/cut":
					panic(http.ErrAbortHandler)
				default:
					_, _ = io.Copy(io.Discard, r.Body)
				}
			}
			everywhere(t, handler, func(s *story) {
				body := &countedBody{Reader: strings.NewReader("hello")}
				req := s.request(http.MethodPost, "/", body)
				req.ContentLength = 5
				change(req)
				resp, err := s.rt.RoundTrip(req)
				if err == nil {
					s.read(resp)
				}
				s.eventually("body closed", func() bool { return body.closes.Load() > 0 })
				s.rt.CloseIdleConnections()
				assert.EqualValues(s, 1, body.closes.Load(), "closes")
			})
		})
	}
}

// A body whose Read fails ends the request with that very error; it is read once and not sent again.
func TestRequestBodyError(t *testing.T) {
	everywhere(t, echo, func(s *story) {
		s.read(s.get("/")) // so that the connection is one that could be retried on
		want := errors.New("disk on fire")
		for _, length := range []int64{5, -1} {
			body := &countedBody{Reader: failingReader{want}}
			req := s.request(http.MethodPut, "/", body)
			req.ContentLength = length
			req.Header["Idempotency-Key"] = nil
			_, err := s.rt.RoundTrip(req)
			assert.ErrorIs(s, err, want)
			if s.ours != nil {
				assert.Equal(s, want, err) // net/http wraps it where it tried sendfile
			}
			assert.EqualValues(s, 1, body.reads.Load(), "reads")
			s.eventually("closed", func() bool { return body.closes.Load() == 1 })
		}
	})
}

// A failingCloser is a body that its Close finds to be wrong, as one that checks a sum does.
type failingCloser struct {
	io.Reader
	err error
}

func (b failingCloser) Close() error { return b.err }

// A body whose Close fails ends the request with that very error, and the end of its chunks is not sent: the server must not take them
// for all.
func TestRequestBodyCloseError(t *testing.T) {
	var whole atomic.Int32
	handler := func(_ http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		switch {
		case r.ContentLength > 0:
			<-r.Context().Done() // it is whole before it is closed: an answer might come first
		case err == nil && n > 0:
			whole.Add(1)
		}
	}
	everywhere1(t, handler, func(s *story) {
		for name, tt := range map[string]struct {
			method, body string
			length       int64
		}{
			"length":     {http.MethodPost, "hello", 5},
			"chunks":     {http.MethodPost, "hello", -1},
			"large":      {http.MethodPost, strings.Repeat("a", 100_000), -1},
			"read ahead": {http.MethodGet, "hello", -1},
			"empty":      {http.MethodGet, "", -1},
		} {
			want := errors.New("wrong sum")
			req := s.request(tt.method, "/", failingCloser{strings.NewReader(tt.body), want})
			req.ContentLength = tt.length
			_, err := s.rt.RoundTrip(req)
			assert.Error(s, err, name)
			if s.ours != nil {
				assert.Equal(s, want, err, name) // net/http wraps it, or says what it did to the connection
			}
		}
		s.server.Close() // when all have been handled
		assert.Zero(s, whole.Load())
	})
}

// A request that is simply sent again, its body read by the first time, has its body from GetBody, on a new connection as well.
func TestRequestIsSentTwice(t *testing.T) {
	ours(t, echo, func(s *story) {
		for _, body := range []io.Reader{strings.NewReader("hello"), bytes.NewReader([]byte("hello")), bytes.NewBufferString("hello")} {
			req := s.request(http.MethodPost, "/", body)
			for range 3 {
				assert.Equal(s, "POST hello", s.read(s.send(req)))
				s.ours.CloseIdleConnections()
			}
			want := errors.New("it is gone")
			req.GetBody = func() (io.ReadCloser, error) { return nil, want }
			_, err := s.rt.RoundTrip(req)
			assert.Equal(s, want, err)
			req.GetBody = func() (io.ReadCloser, error) { return nil, nil }
			_, err = s.rt.RoundTrip(req)
			assert.ErrorContains(s, err, "GetBody returned neither")
		}
	})
}

// The caller's request is as it was after an exchange, and the response refers to it.
func TestRequestIsNotChanged(t *testing.T) {
	everywhere(t, echo, func(s *story) {
		req := s.request(http.MethodPost, "/", strings.NewReader("hello"))
		req.Header.Set("A", "b")
		before, body := req.Clone(s.Context()), req.Body
		resp := s.send(req)
		assert.Same(s, req, resp.Request)
		s.read(resp)
		assert.Equal(s, before.Header, req.Header)
		assert.Equal(s, body, req.Body)
		assert.Equal(s, before.ContentLength, req.ContentLength)
		assert.Equal(s, before.URL, req.URL)
		assert.Nil(s, req.TransferEncoding)
	})
}

// A body that says nothing of its length is sent in chunks, and its trailer after it; one that turns out empty with a
// method that seldom has a body is not announced.
func TestBodiesOfUnknownLength(t *testing.T) {
	handler := func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		w.Header().Set("Got", string(b))
		w.Header().Set("Length", strings.Join(r.TransferEncoding, ",")+r.Header.Get("Content-Length"))
		w.Header().Set("End", r.Trailer.Get("End"))
	}
	everywhere1(t, handler, func(s *story) {
		req := s.request(http.MethodPost, "/", struct{ io.Reader }{strings.NewReader("hello")})
		req.Trailer = http.Header{"End": {"bye"}}
		resp := s.send(req)
		assert.Equal(s, "hello", resp.Header.Get("Got"))
		assert.Equal(s, "chunked", resp.Header.Get("Length"))
		assert.Equal(s, "bye", resp.Header.Get("End"))
		s.read(resp)

		for _, body := range []string{"", "x"} {
			resp = s.send(s.request(http.MethodDelete, "/", struct{ io.Reader }{strings.NewReader(body)}))
			assert.Equal(s, body, resp.Header.Get("Got"))
			assert.Equal(s, map[string]string{"": "", "x": "chunked"}[body], resp.Header.Get("Length"))
			s.read(resp)
		}
		s.wantDials(1)
	})
}

// A response that comes before the upload ends is delivered.
func TestEarlyResponse(t *testing.T) {
	handler := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close")
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		_, _ = io.WriteString(w, "too large")
	}
	ours(t, handler, func(s *story) {
		r, w := io.Pipe()
		go func() {
			_, err := w.Write(make([]byte, 100))
			for err == nil {
				_, err = w.Write(make([]byte, 100000))
			}
		}()
		resp := s.send(s.request(http.MethodPost, "/", r))
		assert.Equal(s, http.StatusRequestEntityTooLarge, resp.StatusCode)
		assert.Equal(s, "too large", s.read(resp))
	})
}

// What a caller's slip is, the error says; header values do not appear in it.
func TestRefusals(t *testing.T) {
	ours(t, echo, func(s *story) {
		for want, change := range map[string]func(*http.Request){
			"nil Request.URL":                        func(r *http.Request) { r.URL = nil },
			"nil Request.Header":                     func(r *http.Request) { r.Header = nil },
			`invalid method "A B"`:                   func(r *http.Request) { r.Method = "A B" },
			`invalid header field name "a b"`:        func(r *http.Request) { r.Header["a b"] = []string{"c"} },
			`invalid header field value for "Token"`: func(r *http.Request) { r.Header["Token"] = []string{"secret\n"} },
			`invalid trailer field name "a b"`:       func(r *http.Request) { r.Trailer = http.Header{"a b": nil} },
			`unsupported protocol scheme "gopher"`:   func(r *http.Request) { r.URL.Scheme = "gopher" },
			`invalid trailer field "Content-Length": it delimits messages, check Request.Trailer`: func(r *http.Request) {
				r.Trailer, r.TransferEncoding = http.Header{"Content-Length": nil}, []string{"chunked"}
			},
			"no Host in request URL": func(r *http.Request) { r.URL = &url.URL{Scheme: "http"} },
		} {
			req := s.request(http.MethodGet, "/", nil)
			change(req)
			_, err := s.rt.RoundTrip(req)
			if assert.Error(s, err, want) {
				assert.Equal(s, "transport: "+want, err.Error())
				assert.NotContains(s, err.Error(), "secret")
			}
		}
		s.wantDials(0)
		_, err := s.rt.RoundTrip((&http.Request{Method: "GET", Header: http.Header{}, URL: &url.URL{Scheme: "http", Host: "127.0.0.1:1"}}).WithContext(s.Context()))
		require.Error(s, err)
	})
}
