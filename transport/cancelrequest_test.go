package transport_test

import (
	"math/rand/v2"
	"net/http"
	"net/http/httptrace"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// CancelRequest works from every hook of a request's trace, also while the request has a connection and has not begun with it.
func TestCancelRequestFromHooks(t *testing.T) {
	for name, hook := range map[string]func(cancel func()) *httptrace.ClientTrace{
		"GetConn": func(cancel func()) *httptrace.ClientTrace {
			return &httptrace.ClientTrace{GetConn: func(string) { cancel() }}
		},
		"GotConn": func(cancel func()) *httptrace.ClientTrace {
			return &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { cancel() }}
		},
		"WroteHeaders": func(cancel func()) *httptrace.ClientTrace { return &httptrace.ClientTrace{WroteHeaders: cancel} },
	} {
		t.Run(name, func(t *testing.T) {
			everywhere(t, hang, func(s *story) {
				for range 2 {
					req := s.request(http.MethodGet, "/head", nil)
					*req = *req.WithContext(httptrace.WithClientTrace(req.Context(), hook(func() { s.rt.CancelRequest(req) })))
					_, err := s.rt.RoundTrip(req)
					require.ErrorContains(s, err, "request canceled")
				}
				if s.ours != nil {
					s.eventually("nothing is leased", func() bool { st := s.ours.Stats(); return st.Leased+st.Waiting == 0 })
				}
			})
		})
	}
}

// CancelRequest at any moment ends the request it was called for, or comes too late, and never hits the connection's next user:
// the others have their whole answers.
func TestCancelRequestHitsNobodyElse(t *testing.T) {
	ours(t, sized, func(s *story) {
		var wg sync.WaitGroup
		for worker := range 8 {
			wg.Go(func() {
				rnd := rand.New(rand.NewPCG(7, uint64(worker)))
				for i := range 200 {
					req := s.request(http.MethodGet, []string{"/10", "/20000"}[i%2], nil)
					if i%4 < 2 {
						resp := s.send(req)
						assert.Len(s, s.read(resp), []int{10, 20000}[i%2])
						s.ours.CancelRequest(req)
						continue
					}
					var canceller sync.WaitGroup
					canceller.Go(func() {
						time.Sleep(time.Duration(rnd.IntN(300)) * time.Microsecond)
						s.ours.CancelRequest(req)
						s.ours.CancelRequest(req)
					})
					if resp, err := s.rt.RoundTrip(req); err == nil {
						_ = resp.Body.Close()
					}
					canceller.Wait()
				}
			})
		}
		wg.Wait()
		s.eventually("nothing is leased", func() bool { st := s.ours.Stats(); return st.Leased+st.Waiting == 0 })
	}, func(tr *http.Transport) { tr.MaxConnsPerHost = 4 })
}
