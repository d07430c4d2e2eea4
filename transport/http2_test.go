package transport_test

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// speaking returns Protocols with these.
func speaking(set ...func(*http.Protocols, bool)) *http.Protocols {
	p := new(http.Protocols)
	for _, s := range set {
		s(p, true)
	}
	return p
}

// A server and a transport agree on a protocol as with net/http, whatever setting says so.
func TestProtocolIsNegotiated(t *testing.T) {
	none := map[string]func(string, *tls.Conn) http.RoundTripper{}
	for _, tt := range []struct {
		name, proto string
		set         setting
	}{
		{"a dialer and a TLS configuration", "HTTP/1.1", func(*http.Transport) {}},
		{"ForceAttemptHTTP2", "HTTP/2.0", func(tr *http.Transport) { tr.ForceAttemptHTTP2 = true }},
		{"an empty TLSNextProto", "HTTP/1.1", func(tr *http.Transport) { tr.ForceAttemptHTTP2, tr.TLSNextProto = true, none }},
		{"Protocols over an empty TLSNextProto", "HTTP/2.0", func(tr *http.Transport) {
			tr.Protocols, tr.TLSNextProto = speaking((*http.Protocols).SetHTTP1, (*http.Protocols).SetHTTP2), none
		}},
		{"Protocols with HTTP/1 alone", "HTTP/1.1", func(tr *http.Transport) {
			tr.ForceAttemptHTTP2, tr.Protocols = true, speaking((*http.Protocols).SetHTTP1)
		}},
		{"Protocols with HTTP/2 alone", "HTTP/2.0", func(tr *http.Transport) { tr.Protocols = speaking((*http.Protocols).SetHTTP2) }},
		{"NextProtos of the caller's", "HTTP/2.0", func(tr *http.Transport) {
			tr.ForceAttemptHTTP2, tr.TLSClientConfig.NextProtos = true, []string{"http/1.1", "h2"}
		}},
		{"a TLS dialer", "HTTP/1.1", func(tr *http.Transport) { dialsTLS(tr, "http/1.1") }},
		{"a TLS dialer that negotiated HTTP/2", "HTTP/2.0", func(tr *http.Transport) {
			dialsTLS(tr, "h2")
			tr.ForceAttemptHTTP2 = true
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, std := range []bool{true, false} {
				s := &story{T: t, server: httptest.NewUnstartedServer(http.HandlerFunc(echo))}
				s.server.EnableHTTP2 = true
				s.server.StartTLS()
				t.Cleanup(s.server.Close)
				s.connect(std, tt.set)
				resp := s.get("/")
				assert.Equal(t, tt.proto, resp.Proto, "std: %v", std)
				require.NotNil(t, resp.TLS)
				assert.Equal(t, "GET ", s.read(resp))
			}
		})
	}
}

func dialsTLS(tr *http.Transport, proto string) {
	config := tr.TLSClientConfig.Clone()
	config.NextProtos = []string{proto}
	tr.DialTLSContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		return (&tls.Dialer{Config: config}).DialContext(ctx, network, addr)
	}
}

// GODEBUG=http2client=0 turns HTTP/2 off.
func TestHTTP2TurnedOff(t *testing.T) {
	t.Setenv("GODEBUG", "x=1,http2client=0")
	s := newHTTP2Story(t, echo, false)
	assert.Equal(s, 1, s.get("/").ProtoMajor)
}

// HTTP/2 by prior knowledge, without TLS.
func TestHTTP2WithoutTLS(t *testing.T) {
	for _, std := range []bool{true, false} {
		s := &story{T: t, server: httptest.NewUnstartedServer(http.HandlerFunc(echo))}
		s.server.Config.Protocols = speaking((*http.Protocols).SetUnencryptedHTTP2)
		s.server.Start()
		t.Cleanup(s.server.Close)
		s.connect(std, func(tr *http.Transport) { tr.Protocols = speaking((*http.Protocols).SetUnencryptedHTTP2) })
		resp := s.get("/")
		assert.Equal(t, "HTTP/2.0", resp.Proto)
		assert.Nil(t, resp.TLS)
		s.read(resp)
		s.read(s.get("/"))
		if !std { // net/http's first connection is sometimes not ready for the second request
			s.wantDials(1)
		}
	}
}

// A request that upgrades to a WebSocket has a connection of its own, which speaks HTTP/1.1.
func TestUpgradeBesideHTTP2(t *testing.T) {
	for _, std := range []bool{true, false} {
		s := newHTTP2Story(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Upgrade") != "" {
				w.WriteHeader(http.StatusBadRequest)
			}
		}, std)
		s.read(s.get("/"))
		req := s.request(http.MethodGet, "/", nil)
		req.Header.Set("Connection", "Upgrade")
		req.Header.Set("Upgrade", "websocket")
		resp := s.send(req)
		assert.Equal(t, 1, resp.ProtoMajor)
		s.read(resp)
		assert.Equal(t, 2, s.get("/").ProtoMajor)
		s.wantDials(2)
	}
}

// Requests that come while the first connection is dialed wait for it and share it.
func TestFirstRequestsShareADial(t *testing.T) {
	g := newGate()
	var mu sync.Mutex
	count := 0
	handler := func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		count++
		mu.Unlock()
	}
	s := newHTTP2Story(t, handler, false, g.setting)
	var calls []<-chan arrival
	for range 20 {
		calls = append(calls, s.async(s.Context(), "/"))
	}
	s.eventually("waiting", func() bool { return s.ours.Stats().Waiting == 20 })
	assert.Equal(s, 1, s.ours.Stats().Dialing)
	<-g.began
	g.proceed <- nil
	for _, call := range calls {
		assert.NoError(s, (<-call).err)
	}
	assert.Equal(s, 20, count)
	assert.EqualValues(s, 1, s.ours.Stats().Dials)
	s.wantNothingHeld()
}

// Where the first connection turns out to speak HTTP/1.1, the others are dialed side by side, and from the beginning the next time.
func TestFirstRequestsOfHTTP1(t *testing.T) {
	arrived, leave := make(chan struct{}, 10), make(chan struct{})
	handler := func(http.ResponseWriter, *http.Request) { arrived <- struct{}{}; <-leave }
	s := newStory(t, handler, true, false, func(tr *http.Transport) { tr.ForceAttemptHTTP2 = true })
	for round := range 2 {
		var calls []<-chan arrival
		for range 5 {
			calls = append(calls, s.async(s.Context(), "/"))
		}
		for range 5 {
			<-arrived // all of them at once
		}
		for range 5 {
			leave <- struct{}{}
		}
		for _, call := range calls {
			assert.NoError(s, (<-call).err)
		}
		s.wantDials(int64(5 * (round + 1)))
		s.rt.CloseIdleConnections()
	}
}

// A server's limit of streams is kept: what exceeds it has a further connection, or waits where the caller wants that.
func TestMaxConcurrentStreams(t *testing.T) {
	for _, strict := range []bool{false, true} {
		for _, std := range map[bool][]bool{false: {true, false}, true: {false}}[strict] { // net/http's requests get stuck where strict
			var now, most atomic.Int64
			arrived, leave := make(chan struct{}, 100), make(chan struct{})
			handler := func(_ http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/" {
					return
				}
				if n := now.Add(1); n > most.Load() {
					most.Store(n)
				}
				arrived <- struct{}{}
				<-leave
				now.Add(-1)
			}
			s := &story{T: t, server: httptest.NewUnstartedServer(http.HandlerFunc(handler)), http2: true}
			s.server.EnableHTTP2 = true
			s.server.Config.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: 3}
			s.server.StartTLS()
			t.Cleanup(s.server.Close)
			s.connect(std, func(tr *http.Transport) { tr.HTTP2 = &http.HTTP2Config{StrictMaxConcurrentRequests: strict} })
			s.read(s.get("/")) // the limit is known after it
			var calls []<-chan arrival
			for range 10 {
				calls = append(calls, s.async(s.Context(), "/wait"))
			}
			atOnce := map[bool]int{false: 10, true: 3}[strict]
			for range atOnce {
				<-arrived
			}
			for range 10 {
				leave <- struct{}{}
			}
			for _, call := range calls {
				assert.NoError(t, (<-call).err)
			}
			assert.EqualValues(t, atOnce, most.Load(), "std: %v, strict: %v", std, strict)
			if strict {
				s.wantDials(1)
			} else if !std {
				// One more for each that takes 250 ms, on a busy machine: nobody waits longer for another's.
				assert.GreaterOrEqual(t, s.dials.Load(), int64(4))
				assert.Less(t, s.dials.Load(), int64(atOnce), "a dial for each request")
			}
			s.wantNothingHeld()
		}
	}
}
