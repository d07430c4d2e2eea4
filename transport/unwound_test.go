//go:build linux

package transport_test

import (
	"bytes"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"runtime"
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
