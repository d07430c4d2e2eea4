package transport_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/transport"
)

// An asker is one of two requests that may share a connection or not.
type asker struct {
	host   string // "": a.example
	proxy  string // user info at the name of a proxy; "" for none
	header http.Header
	hostIs string // Request.Host
}

func credentials(name, value string) http.Header { return http.Header{name: {value}} }

// separations are pairs of requests; same tells whether the second may have the first one's connection.
var separations = []struct {
	name string
	a, b asker
	same bool
}{
	{"the same", asker{}, asker{}, true},
	{"another path in Host alone", asker{}, asker{hostIs: "b.example"}, true},
	{"another host at the same address", asker{}, asker{host: "b.example"}, false},
	{"another port at the same address", asker{}, asker{host: "a.example:1"}, false},
	{"a proxy, and none", asker{proxy: "one"}, asker{}, false},
	{"none, and a proxy", asker{}, asker{proxy: "one"}, false},
	{"the same proxy", asker{proxy: "one"}, asker{proxy: "one"}, true},
	{"another proxy", asker{proxy: "one"}, asker{proxy: "two"}, false},
	{"credentials for the proxy, and none", asker{proxy: "me:x@one"}, asker{proxy: "one"}, false},
	{"none for the proxy, and credentials", asker{proxy: "one"}, asker{proxy: "me:x@one"}, false},
	{"the same credentials", asker{proxy: "me:x@one"}, asker{proxy: "me:x@one"}, true},
	{"another user of the proxy", asker{proxy: "me:x@one"}, asker{proxy: "you:x@one"}, false},
	{"another password for the proxy", asker{proxy: "me:x@one"}, asker{proxy: "me:y@one"}, false},
	{"Basic, and another user", asker{header: credentials("Authorization", "Basic bWU6eA==")}, asker{header: credentials("Authorization", "Basic eW91Ong=")}, true},
	{"Bearer, and none", asker{header: credentials("Authorization", "Bearer x")}, asker{}, true},
	{"NTLM, and none", asker{header: credentials("Authorization", "NTLM x")}, asker{}, false},
	{"none, and NTLM", asker{}, asker{header: credentials("Authorization", "ntlm x")}, false},
	{"Negotiate, and none", asker{header: credentials("Authorization", "Negotiate x")}, asker{}, false},
	{"Negotiate, and Bearer", asker{header: credentials("Authorization", "negotiate")}, asker{header: credentials("Authorization", "Bearer x")}, false},
	{"NTLM twice, as a handshake needs it", asker{header: credentials("Authorization", "NTLM x")}, asker{header: credentials("Authorization", "NTLM y")}, true},
	{"NTLM for two hosts", asker{header: credentials("Authorization", "NTLM x")}, asker{host: "b.example", header: credentials("Authorization", "NTLM x")}, false},
	{"NTLM for two hosts behind a proxy", asker{proxy: "one", header: credentials("Authorization", "NTLM x")},
		asker{proxy: "one", host: "b.example", header: credentials("Authorization", "NTLM x")}, false},
	{"a scheme that only begins like it", asker{header: credentials("Authorization", "NTLM2 x")}, asker{}, true},
}

// TestConnectionsAreNotShared makes two requests, one after the other, over each kind of connection and proxy. The second has the first
// one's connection only where the two do not differ in whom it leads to, through whom, as whom.
func TestConnectionsAreNotShared(t *testing.T) {
	for _, mode := range []string{"http", "https", "http2"} {
		for _, proxy := range []string{"http", "socks5"} {
			t.Run(mode+" "+proxy, func(t *testing.T) {
				w := newSeparateWorld(t, mode, proxy)
				for _, sep := range separations {
					tr := w.transport()
					first, second := w.ask(t, tr, sep.a), w.ask(t, tr, sep.b)
					assert.Equal(t, sep.same, first == second, sep.name)
					assert.NoError(t, tr.Close())
				}
			})
		}
	}
	w := newSeparateWorld(t, "https", "http")
	t.Run("http proxy, credentials of its own", func(t *testing.T) {
		w := newSeparateWorld(t, "http", "http")
		tr := w.transport()
		bound := asker{proxy: "one", header: credentials("Proxy-Authorization", "NTLM x")}
		first := w.ask(t, tr, bound)
		assert.NotEqual(t, first, w.ask(t, tr, asker{proxy: "one"}))
		assert.Equal(t, first, w.ask(t, tr, bound))
		assert.NoError(t, tr.Close())
	})
	t.Run("clone", func(t *testing.T) {
		tr := w.transport()
		clone := tr.Clone()
		assert.NotEqual(t, w.ask(t, tr, asker{}), w.ask(t, clone, asker{}))
		assert.NoError(t, tr.Close())
		assert.NoError(t, clone.Close())
	})
	t.Run("the caller's configuration changes", func(t *testing.T) {
		tr := w.transport()
		config := tr.TLSClientConfig
		first := w.ask(t, tr, asker{})
		config.InsecureSkipVerify = false // ours is a clone, made before the first request
		assert.Equal(t, first, w.ask(t, tr, asker{}))
		strict := w.transport()
		strict.TLSClientConfig = &tls.Config{}
		_, err := strict.RoundTrip(w.request(t, asker{}))
		assert.Error(t, err, "nothing that another Transport verified, or did not, counts")
		assert.NoError(t, tr.Close())
		assert.NoError(t, strict.Close())
	})
}

// A separateWorld is one server under every name, and two proxies.
type separateWorld struct {
	mode    string
	scheme  string // of the proxies
	server  *httptest.Server
	proxies map[string]string // addresses by name
}

func newSeparateWorld(t *testing.T, mode, scheme string) *separateWorld {
	w := &separateWorld{mode: mode, scheme: scheme, server: httptest.NewUnstartedServer(http.HandlerFunc(echo)), proxies: map[string]string{}}
	w.server.EnableHTTP2 = mode == "http2"
	if mode == "http" {
		w.server.Start()
	} else {
		w.server.StartTLS()
	}
	t.Cleanup(w.server.Close)
	for _, name := range []string{"one", "two"} {
		if scheme == "socks5" {
			w.proxies[name] = startSOCKS(t, w.server.Listener.Addr().String()).Addr().String()
			continue
		}
		p := &testProxy{to: w.server.Listener.Addr().String()}
		p.Server = httptest.NewServer(http.HandlerFunc(p.serve))
		t.Cleanup(p.Close)
		w.proxies[name] = p.Listener.Addr().String()
	}
	return w
}

type proxyOf struct{}

func (w *separateWorld) transport() *transport.Transport {
	return &transport.Transport{
		ForceAttemptHTTP2: w.mode == "http2",
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
		Proxy: func(req *http.Request) (*url.URL, error) {
			if name := req.Context().Value(proxyOf{}).(string); name != "" {
				return url.Parse(w.scheme + "://" + name)
			}
			return nil, nil
		},
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			to := w.server.Listener.Addr().String()
			if name, _, err := net.SplitHostPort(addr); err == nil && w.proxies[name] != "" {
				to = w.proxies[name]
			}
			return new(net.Dialer).DialContext(ctx, network, to)
		},
	}
}

func (w *separateWorld) request(t *testing.T, a asker) *http.Request {
	scheme, host := "https", a.host
	if w.mode == "http" {
		scheme = "http"
	}
	if host == "" {
		host = "a.example"
	}
	req, err := http.NewRequestWithContext(context.WithValue(t.Context(), proxyOf{}, a.proxy), http.MethodGet, scheme+"://"+host+"/", nil)
	require.NoError(t, err)
	for name, values := range a.header {
		req.Header[name] = values
	}
	if a.hostIs != "" {
		req.Host = a.hostIs
	}
	return req
}

// ask makes a request and returns the ends of its connection: two that lead to different addresses may have the same port here.
func (w *separateWorld) ask(t *testing.T, tr *transport.Transport, a asker) (ends string) {
	req := w.request(t, a)
	trace := &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		ends = info.Conn.LocalAddr().String() + " " + info.Conn.RemoteAddr().String()
	}}
	resp, err := tr.RoundTrip(req.WithContext(httptrace.WithClientTrace(req.Context(), trace)))
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return ends
}

// A server that authenticates connections, as NTLM has it, answers all that follows on one in its user's name. Nobody else gets such a
// connection, and a handshake has its own from its first step to its last, however many others ask meanwhile.
func TestConnectionBoundAuthentication(t *testing.T) {
	var users sync.Map // by the peer's address
	handler := func(w http.ResponseWriter, r *http.Request) {
		step, ok := strings.CutPrefix(r.Header.Get("Authorization"), "NTLM ")
		was, _ := users.Load(r.RemoteAddr)
		switch user, _ := was.(string); {
		case ok && step == "hello":
			users.Store(r.RemoteAddr, "challenged")
			w.Header().Set("WWW-Authenticate", "NTLM challenge")
			w.WriteHeader(http.StatusUnauthorized)
		case ok && user == "challenged":
			users.Store(r.RemoteAddr, step)
			_, _ = io.WriteString(w, step)
		case !ok && user != "":
			_, _ = io.WriteString(w, user)
		default:
			w.Header().Set("WWW-Authenticate", "NTLM")
			w.WriteHeader(http.StatusUnauthorized)
		}
	}
	ours1(t, handler, func(s *story) {
		users.Clear() // of the server before: its clients had ports that this one's may have
		ask := func(authorization string) (int, string) {
			req := s.request(http.MethodGet, "/", nil)
			if authorization != "" {
				req.Header.Set("Authorization", authorization)
			}
			resp, err := s.rt.RoundTrip(req)
			if !assert.NoError(s, err) {
				return 0, ""
			}
			b, err := io.ReadAll(resp.Body)
			assert.NoError(s, err)
			assert.NoError(s, resp.Body.Close())
			return resp.StatusCode, string(b)
		}
		var others sync.WaitGroup
		done := make(chan struct{})
		for range 4 {
			others.Go(func() {
				for {
					select {
					case <-done:
						return
					default:
					}
					status, got := ask("")
					assert.Equal(s, http.StatusUnauthorized, status, got)
				}
			})
		}
		for range 50 {
			status, _ := ask("")
			assert.Equal(s, http.StatusUnauthorized, status)
			status, _ = ask("NTLM hello")
			assert.Equal(s, http.StatusUnauthorized, status)
			status, got := ask("NTLM alice")
			assert.Equal(s, http.StatusOK, status)
			assert.Equal(s, "alice", got)
		}
		close(done)
		others.Wait()
		assert.Less(s, s.dials.Load(), int64(50), "five at once without credentials, one with, and more where a dial takes 250 ms; but not one for each handshake")
	})
}
