//go:build linux

package transport_test

import (
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/internal/sockstat"
	"github.com/watertight-go/watertight/transport"
)

// What of the caller's exits the goroutine of a dial, as t.FailNow does, fails the dial, and leaves no connection.
func TestDialsThatExit(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // the collector would close it in the end
	for name, set := range map[string]setting{
		"VerifyConnection": func(tr *http.Transport) {
			tr.TLSClientConfig.VerifyConnection = func(tls.ConnectionState) error { runtime.Goexit(); return nil }
		},
		"TLSNextProto": func(tr *http.Transport) {
			tr.TLSClientConfig.NextProtos = []string{"http/1.1"}
			tr.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{
				"http/1.1": func(string, *tls.Conn) http.RoundTripper { runtime.Goexit(); return nil },
			}
		},
		"OnProxyConnectResponse": func(tr *http.Transport) {
			tr.OnProxyConnectResponse = func(context.Context, *url.URL, *http.Request, *http.Response) error { runtime.Goexit(); return nil }
		},
		"GetProxyConnectHeader": func(tr *http.Transport) {
			tr.GetProxyConnectHeader = func(context.Context, *url.URL, string) (http.Header, error) { runtime.Goexit(); return nil, nil }
		},
	} {
		t.Run(name, func(t *testing.T) {
			settings := []setting{set}
			var proxy *testProxy
			if strings.Contains(name, "Proxy") {
				proxy = startProxy(t)
				settings = append(settings, proxy.through(t))
			}
			s := newStory(t, echo, true, false, settings...)
			_, err := s.rt.RoundTrip(s.request(http.MethodGet, "/", nil))
			require.ErrorContains(s, err, "did not return")
			wantExited(s, proxy)
		})
	}
	for name, trace := range map[string]*httptrace.ClientTrace{
		"TLSHandshakeStart": {TLSHandshakeStart: runtime.Goexit},
		"TLSHandshakeDone":  {TLSHandshakeDone: func(tls.ConnectionState, error) { runtime.Goexit() }},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStory(t, echo, true, false)
			req := s.request(http.MethodGet, "/", nil)
			_, err := s.rt.RoundTrip(req.WithContext(httptrace.WithClientTrace(req.Context(), trace)))
			require.ErrorContains(s, err, "did not return")
			wantExited(s, nil)
		})
	}
}

func wantExited(s *story, proxy *testProxy) {
	to := s.server.URL
	if proxy != nil {
		to = proxy.URL
	}
	s.eventually("no socket", func() bool {
		left := sockstat.Count(socketsTo(s, to))
		return left[sockstat.Established]+left[sockstat.CloseWait] == 0
	})
}

// An observer of closes that exits its goroutine keeps no connection open, and no other observer from being told.
func TestObserversThatExit(t *testing.T) {
	ours1(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			w.Header().Set("Connection", "Upgrade")
			w.Header().Set("Upgrade", "none")
			w.WriteHeader(http.StatusSwitchingProtocols)
		}
	}, func(s *story) {
		told := make(chan transport.ClosedConnection, 10)
		s.ours.ObserveCloses(func(transport.ClosedConnection) { runtime.Goexit() })
		s.ours.ObserveCloses(func(c transport.ClosedConnection) { told <- c })
		req := s.request(http.MethodGet, "/", nil)
		req.Header.Set("Connection", "Upgrade")
		req.Header.Set("Upgrade", "none")
		resp := s.send(req)
		s.read(s.get("/"))
		require.NoError(s, resp.Body.Close())
		s.ours.CloseIdleConnections()
		s.wantNoSockets()
		require.Len(s, told, 2)
		assert.Equal(s, transport.ReasonUpgraded, (<-told).Reason)
		s.read(s.get("/"))
		s.server.CloseClientConnections() // the reaper notices
		s.eventually("told", func() bool { return len(told) == 2 })
		s.read(s.get("/"))
		s.server.CloseClientConnections()
		s.eventually("told once more", func() bool { return len(told) == 3 })
		s.wantNoSockets()
	})
}

// A RedactURL that exits its goroutine ends neither the sweep that looks for leaks nor the request that is told who holds the connections.
func TestRedactURLThatExits(t *testing.T) {
	ours(t, sized, func(s *story) {
		s.ours.RedactURL = func(*url.URL) string { runtime.Goexit(); return "" }
		leaks := leaksOf(s.ours)
		resp := s.get("/1000000")
		assert.Equal(s, s.server.URL, s.ours.OpenBodies()[0].URL)
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = s.get("/1000000")
		s.eventuallyCollected("reported", func() bool { return len(leaks) == 1 })
	})
}
