package transport_test

import (
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/transport"
)

// A request that wants its connection closed has it closed behind it, and disturbs nobody who shares it: not those who have begun,
// nor those who came with it and have yet to begin.
func TestHTTP2CloseDisturbsNobody(t *testing.T) {
	for name, ask := range map[string]func(*http.Request){
		"Request.Close":     func(req *http.Request) { req.Close = true },
		"Connection: close": func(req *http.Request) { req.Header.Set("Connection", "close") },
	} {
		t.Run(name, func(t *testing.T) {
			for range 20 {
				s := newHTTP2Story(t, func(w http.ResponseWriter, r *http.Request) {
					_, _ = io.WriteString(w, r.URL.Path+r.Header.Get("Connection"))
				}, false)
				var wg sync.WaitGroup
				for i := range 8 {
					path := fmt.Sprint("/", i)
					req := s.request(http.MethodGet, path, nil)
					if i%4 == 1 {
						ask(req)
					}
					was := req.Header.Clone()
					wg.Go(func() {
						resp, err := s.rt.RoundTrip(req)
						if !assert.NoError(t, err) {
							return
						}
						b, err := io.ReadAll(resp.Body)
						assert.NoError(t, err)
						assert.Equal(t, path, string(b))
						assert.Equal(t, was, req.Header)
					})
				}
				wg.Wait()
				s.eventually("closed", func() bool {
					st := s.ours.Stats()
					return st.Leased == 0 && st.Closes[transport.ReasonNoKeepAlive] > 0
				})
				require.Zero(t, s.ours.Stats().Retries)
			}
		})
	}
}
