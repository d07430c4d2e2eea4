package transport_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"runtime"
	"runtime/debug"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/internal/innocent"
)

// Innocent programs are never reported and never harmed, however often the collector runs.
func TestNoFalseAlarms(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(1))
	stop := make(chan struct{})
	var collector sync.WaitGroup
	collector.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				runtime.GC()
			}
		}
	})
	defer collector.Wait()
	defer close(stop)
	want := httptest.NewRecorder()
	innocent.Rows(want, nil)
	ours(t, innocent.Rows, func(s *story) {
		leaks := s.leaks()
		clients := []*http.Client{{Transport: s.rt}, {Transport: s.rt, Timeout: time.Minute}, {Transport: s.throughProxy()}}
		for name, program := range innocent.Programs {
			for i, client := range clients {
				for range 3 {
					resp, err := client.Get(s.server.URL + "/" + url.PathEscape(name))
					require.NoError(s, err)
					got, err := program(resp)
					require.NoError(s, err, "%s, client %d", name, i)
					if got != "" {
						assert.Equal(s, want.Body.String(), got, "%s, client %d", name, i)
					}
					if client.Timeout > 0 {
						_ = resp.Body.Close() // or a goroutine of http.Client's own stays until its Timeout
					}
				}
			}
		}
		assert.Empty(s, leaks())
		s.eventually("nothing is held", func() bool { return s.ours.Stats().Bodies == 0 })
	})
}

// throughProxy sends through a reverse proxy over ours.
func (s *story) throughProxy() http.RoundTripper {
	target, err := url.Parse(s.server.URL)
	require.NoError(s, err)
	proxy := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport:     s.rt,
		FlushInterval: -1,
	})
	s.Cleanup(proxy.Close)
	front, err := url.Parse(proxy.URL)
	require.NoError(s, err)
	plain := &http.Transport{}
	s.Cleanup(plain.CloseIdleConnections)
	return rewrite{front, plain}
}

// rewrite sends requests to another host.
type rewrite struct {
	to *url.URL
	rt http.RoundTripper
}

func (r rewrite) RoundTrip(req *http.Request) (*http.Response, error) {
	own := req.Clone(req.Context())
	own.URL.Scheme, own.URL.Host = r.to.Scheme, r.to.Host
	return r.rt.RoundTrip(own)
}
