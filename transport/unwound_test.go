//go:build linux

package transport_test

import (
	"bytes"
	"go/version"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A hook that panics ends the upload that waits for "100 Continue".
func TestAPanicEndsTheWaitForContinue(t *testing.T) {
	informed := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusEarlyHints) }
	ours1(t, informed, func(s *story) {
		ended := make(chan struct{})
		trace := &httptrace.ClientTrace{
			Got1xxResponse: func(int, textproto.MIMEHeader) error { panic("the caller's") },
			WroteRequest:   func(httptrace.WroteRequestInfo) { close(ended) },
		}
		req := s.request(http.MethodPost, "/", &countedBody{Reader: bytes.NewReader(make([]byte, 100))})
		req = req.WithContext(httptrace.WithClientTrace(req.Context(), trace))
		req.Header.Set("Expect", "100-continue")
		assert.Panics(s, func() { _, _ = s.rt.RoundTrip(req) })
		select {
		case <-ended:
		case <-time.After(patience):
			s.Error("the upload waits")
		}
	}, func(tr *http.Transport) { tr.ExpectContinueTimeout = time.Hour })
}

// A request's body that exits the goroutine of its upload, as t.FailNow does, is the request's end.
func TestBodiesThatExit(t *testing.T) {
	tell := func(s *story) {
		for _, method := range []string{http.MethodPost, http.MethodDelete} { // of which one is asked whether there is a body
			for reads := range 3 {
				body := &exitingBody{Reader: io.LimitReader(endless{}, 1<<20), reads: reads}
				_, err := s.rt.RoundTrip(s.request(method, "/10", body))
				require.ErrorContains(s, err, "exited the goroutine")
				s.eventually("closed", func() bool { return body.closes.Load() == 1 })
				s.eventually("no lease", func() bool { return s.ours.Stats().Leased == 0 })
			}
		}
		s.read(s.get("/10"))
		s.ours.CloseIdleConnections()
		s.wantNoSockets()
	}
	ours(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		sized(w, r)
	}, tell)
}

// An exitingBody exits the goroutine that reads it, after so many Reads.
type exitingBody struct {
	io.Reader
	reads  int
	closes atomic.Int32
}

func (b *exitingBody) Read(p []byte) (int, error) {
	if b.reads--; b.reads < 0 {
		runtime.Goexit()
	}
	return b.Reader.Read(p)
}

func (b *exitingBody) Close() error { b.closes.Add(1); return nil }

// Hooks that exit the goroutine in which HTTP/2 reads are the end of the connection, and of the request.
func TestHooksThatExitTheReader(t *testing.T) {
	if version.Compare(runtime.Version(), "go1.27") >= 0 {
		t.Skip("the codec of net/http, which x/net wraps from Go 1.27 on, panics in RoundTrip when its reader has exited")
	}
	for name, trace := range map[string]*httptrace.ClientTrace{
		"GotFirstResponseByte": {GotFirstResponseByte: runtime.Goexit},
		"Got1xxResponse":       {Got1xxResponse: func(int, textproto.MIMEHeader) error { runtime.Goexit(); return nil }},
	} {
		t.Run(name, func(t *testing.T) {
			s := newHTTP2Story(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusEarlyHints) }, false)
			req := s.request(http.MethodGet, "/", nil)
			_, err := s.rt.RoundTrip(req.WithContext(httptrace.WithClientTrace(req.Context(), trace)))
			require.ErrorContains(s, err, "did not return")
			s.read(s.get("/"))
		})
	}
}

// A hook that panics in the goroutine of RoundTrip, or exits that, costs no connection of those that MaxConnsPerHost allows, whoever
// recovers from it; the request's body is closed.
func TestCallbacksThatUnwind(t *testing.T) {
	informed := func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		sized(w, r)
	}
	for exit, end := range map[string]func(){"panics": func() { panic("the caller's") }, "exits": runtime.Goexit} {
		hooks := map[string]*httptrace.ClientTrace{
			"GetConn":              {GetConn: func(string) { end() }},
			"GotConn":              {GotConn: func(httptrace.GotConnInfo) { end() }},
			"WroteHeaderField":     {WroteHeaderField: func(string, []string) { end() }},
			"WroteHeaders":         {WroteHeaders: func() { end() }},
			"WroteRequest":         {WroteRequest: func(httptrace.WroteRequestInfo) { end() }},
			"GotFirstResponseByte": {GotFirstResponseByte: func() { end() }},
			"Got1xxResponse":       {Got1xxResponse: func(int, textproto.MIMEHeader) error { end(); return nil }},
			"PutIdleConn":          {PutIdleConn: func(error) { end() }},
		}
		unwind := func(s *story, names ...string) {
			for _, name := range names {
				body := &countedBody{Reader: bytes.NewReader(make([]byte, 100))}
				req := s.request(http.MethodPost, "/10", body)
				if name == "WroteRequest" { // which is called where the body is read
					req, body = s.request(http.MethodGet, "/10", nil), nil
				}
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					defer func() { _ = recover() }()
					resp, err := s.rt.RoundTrip(req.WithContext(httptrace.WithClientTrace(req.Context(), hooks[name])))
					assert.NoError(s, err)
					_ = resp.Body.Close()
				}()
				<-ended
				s.eventually(name+" costs no connection", func() bool { st := s.ours.Stats(); return st.Leased == 0 && st.Bodies == 0 })
				if body != nil {
					s.eventually(name+" leaves no body open", func() bool { return body.closes.Load() == 1 })
				}
			}
			resp, err := s.rt.RoundTrip(s.request(http.MethodGet, "/10", nil))
			require.NoError(s, err)
			s.read(resp)
			s.eventually("one socket is left", func() bool { return len(socketsTo(s, s.server.URL)) == 1 })
		}
		limits := func(tr *http.Transport) { tr.MaxConnsPerHost, tr.ResponseHeaderTimeout = 1, time.Minute }
		t.Run(exit, func(t *testing.T) {
			ours1(t, informed, func(s *story) {
				unwind(s, "GetConn", "GotConn", "WroteHeaderField", "WroteHeaders", "WroteRequest", "GotFirstResponseByte", "Got1xxResponse", "PutIdleConn")
			}, limits)
			t.Run("http2", func(t *testing.T) { // where others are called by the codec
				unwind(newHTTP2Story(t, informed, false, limits), "GetConn", "GotConn")
			})
		})
	}
}
