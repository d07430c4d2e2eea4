//go:build linux

package transport_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/transport"
)

// A disguised connection is TLS of another package's, which tells what is beneath it.
type disguised struct {
	net.Conn
	tc *tls.Conn
}

func (d disguised) NetConn() net.Conn { return d.tc.NetConn() }

// customTLS are the connections that a DialTLSContext may return.
var customTLS = map[string]func(*tls.Conn) net.Conn{
	"tls.Conn":        func(tc *tls.Conn) net.Conn { return tc },
	"another's":       func(tc *tls.Conn) net.Conn { return disguised{tc, tc} },
	"another's, mute": func(tc *tls.Conn) net.Conn { return bare{tc} },
}

// An idle connection of the caller's TLS ends with its peer, at once and without a request, whether that says goodbye, hangs up
// without a word or says what nobody asked for; no socket is left. A caller is spared only where nothing happens.
func TestCustomTLSEndsWithItsPeer(t *testing.T) {
	deeds := map[string]func(*tls.Conn){
		"nothing":      func(*tls.Conn) {},
		"close_notify": func(c *tls.Conn) { _ = c.CloseWrite() },
		"408":          func(c *tls.Conn) { _, _ = io.WriteString(c, lateAnswer) },
		"close":        func(c *tls.Conn) { _ = c.Close() },
	}
	for name, end := range endings {
		deeds[name] = func(c *tls.Conn) { end(beneath(c)) }
	}
	for kind, wrap := range customTLS {
		for name, deed := range deeds {
			t.Run(kind+" "+name, func(t *testing.T) {
				server := startRaw(t, true)
				tr := &transport.Transport{DialTLSContext: func(_ context.Context, network, addr string) (net.Conn, error) {
					tc, err := tls.Dial(network, addr, server.config)
					if err != nil {
						return nil, err
					}
					return wrap(tc), nil
				}}
				defer func() { assert.NoError(t, tr.Close()) }()
				served, act := make(chan struct{}), make(chan struct{})
				go func() {
					defer close(served)
					c := <-server.conns
					defer c.Close()
					r := bufio.NewReader(c)
					answer(t, r, c, okResponse)
					<-act
					deed(c.(*tls.Conn))
					if name == "nothing" {
						answer(t, r, c, okResponse)
					}
					_, _ = io.Copy(io.Discard, beneath(c)) // until the client leaves
				}()
				require.NoError(t, mustGet(t, tr, server.url()).Body.Close())
				close(act)
				if name != "nothing" {
					require.Eventually(t, func() bool { return len(socketsTo(t, server.url())) == 0 && tr.Stats().Open == 0 }, patience, tick, "no socket")
				} else {
					req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.url(), nil)
					require.NoError(t, err)
					resp, err := tr.RoundTrip(req)
					require.NoError(t, err)
					require.NoError(t, resp.Body.Close())
				}
				assert.EqualValues(t, 1, tr.Stats().Dials)
				assert.NoError(t, tr.Close())
				<-served
			})
		}
	}
}

// A dialer for http whose connections are TLS may leave the handshake to their first use, as tls.Client does.
func TestDialerLeavesItsHandshake(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(echo))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	dial := func(host string) (net.Conn, error) {
		nc, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			return nil, err
		}
		return tls.Client(nc, &tls.Config{RootCAs: trust(server).RootCAs, ServerName: host}), nil
	}
	for name, settings := range map[string]func(host string) *http.Transport{
		"DialContext": func(host string) *http.Transport {
			return &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return dial(host) }}
		},
		"Dial": func(host string) *http.Transport {
			return &http.Transport{Dial: func(string, string) (net.Conn, error) { return dial(host) }}
		},
	} {
		for _, std := range []bool{false, true} {
			t.Run(name+map[bool]string{false: "/ours", true: "/std"}[std], func(t *testing.T) {
				transportOf := func(host string) roundTripper {
					if std {
						return settings(host)
					}
					return transport.From(settings(host))
				}
				rt := transportOf("example.com")
				for _, body := range []string{"", "a", strings.Repeat("a", 50000), ""} {
					resp, err := rt.RoundTrip(putRequest(t, body))
					require.NoError(t, err)
					got, err := io.ReadAll(resp.Body)
					require.NoError(t, err)
					assert.NoError(t, resp.Body.Close())
					assert.Equal(t, "PUT "+body, string(got))
				}
				assert.Len(t, socketsTo(t, server.URL), 1)
				rt.CloseIdleConnections()

				_, err := transportOf("another.example").RoundTrip(putRequest(t, ""))
				var refused *tls.CertificateVerificationError
				assert.ErrorAs(t, err, &refused)
				assert.Eventually(t, func() bool { return len(socketsTo(t, server.URL)) == 0 }, patience, tick, "no socket")
			})
		}
	}
}

// offersHTTP2 starts a server that speaks HTTP/2, and returns a dialer whose TLS agrees on that with it.
func offersHTTP2(t *testing.T) (server *httptest.Server, dial func(ctx context.Context, network, addr string) (net.Conn, error)) {
	server = httptest.NewUnstartedServer(http.HandlerFunc(echo))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	config := trust(server)
	config.NextProtos = []string{"h2", "http/1.1"}
	return server, (&tls.Dialer{Config: config}).DialContext
}

// A dialer that offers HTTP/2 where that is turned off is told so, and what to change.
func TestCustomTLSOffersTooMuch(t *testing.T) {
	server, dial := offersHTTP2(t)
	var http1 http.Protocols
	http1.SetHTTP1(true)
	for name, tr := range map[string]*transport.Transport{
		"https":     {DialTLSContext: dial},
		"http":      {DialContext: dial},
		"Protocols": {DialTLSContext: dial, Protocols: &http1},
	} {
		t.Run(name, func(t *testing.T) {
			url := server.URL
			if name == "http" {
				url = strings.Replace(url, "https", "http", 1)
			}
			_, _, err := do(t, tr, http.MethodGet, url, "", nil)
			assert.ErrorContains(t, err, "HTTP/2")
			assert.ErrorContains(t, err, "NextProtos")
			assert.Empty(t, socketsTo(t, url))
			assert.NoError(t, tr.Close())
		})
	}
}

// Proxies are asked over HTTP/1.1, with the credentials in their URL. A dialer that agrees on another protocol with one is told so.
func TestCustomTLSOffersTooMuchToAProxy(t *testing.T) {
	proxy, dial := offersHTTP2(t)
	to, err := url.Parse(proxy.URL)
	require.NoError(t, err)
	to.User = url.UserPassword("user", "password")
	tr := &transport.Transport{Proxy: http.ProxyURL(to), DialTLSContext: dial, ForceAttemptHTTP2: true}
	defer func() { assert.NoError(t, tr.Close()) }()
	for _, url := range []string{"http://origin.example", "https://origin.example"} {
		_, _, err := do(t, tr, http.MethodGet, url, "", nil)
		assert.ErrorContains(t, err, "proxy has negotiated HTTP/2")
		assert.ErrorContains(t, err, "NextProtos")
		assert.Empty(t, socketsTo(t, proxy.URL))
	}
}

func putRequest(t *testing.T, body string) *http.Request {
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://example.com/", strings.NewReader(body))
	require.NoError(t, err)
	return req
}

// A told connection is TLS of another kind that tells its state, as http.Transport has it from Go 1.27 on.
type told struct {
	net.Conn
	tc *tls.Conn
}

func (c told) ConnectionState() tls.ConnectionState { return c.tc.ConnectionState() }

// An eager connection is a told one whose handshake is left to us.
type eager struct{ told }

func (c eager) HandshakeContext(ctx context.Context) error { return c.tc.HandshakeContext(ctx) }

// What the caller's TLS has negotiated counts although it is not a tls.Conn but one that tells its state: HTTP/2 is spoken to those who
// have agreed on that, and the response has the state. The handshake is asked for where it can be.
func TestCustomTLSThatTellsItsState(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(echo))
	server.EnableHTTP2, server.TLS = true, &tls.Config{NextProtos: []string{"h2", "http/1.1"}}
	server.StartTLS()
	defer server.Close()
	dial := func(wrap func(*tls.Conn) net.Conn, protocol string) func(context.Context, string, string) (net.Conn, error) {
		return func(_ context.Context, network, addr string) (net.Conn, error) {
			nc, err := net.Dial(network, addr)
			if err != nil {
				return nil, err
			}
			tc := tls.Client(nc, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{protocol}})
			return wrap(tc), nil
		}
	}
	kinds := map[string]func(*tls.Conn) net.Conn{
		"embedded": func(tc *tls.Conn) net.Conn { return struct{ *tls.Conn }{tc} },
		"eager":    func(tc *tls.Conn) net.Conn { return eager{told{tc, tc}} },
		"told": func(tc *tls.Conn) net.Conn {
			_ = tc.Handshake()
			return told{tc, tc}
		},
	}
	for kind, wrap := range kinds {
		for protocol, want := range map[string]string{"h2": "HTTP/2.0", "http/1.1": "HTTP/1.1"} {
			t.Run(kind+" "+want, func(t *testing.T) {
				tr := &transport.Transport{ForceAttemptHTTP2: true, DialTLSContext: dial(wrap, protocol)}
				defer func() { assert.NoError(t, tr.Close()) }()
				var handshakes []string
				req, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
					TLSHandshakeDone: func(state tls.ConnectionState, _ error) { handshakes = append(handshakes, state.NegotiatedProtocol) },
				}), http.MethodGet, server.URL, nil)
				require.NoError(t, err)
				for range 2 {
					resp, err := tr.RoundTrip(req)
					require.NoError(t, err)
					require.NotNil(t, resp.TLS)
					assert.Equal(t, protocol, resp.TLS.NegotiatedProtocol)
					assert.Equal(t, want, resp.Proto)
					require.NoError(t, resp.Body.Close())
				}
				assert.EqualValues(t, 1, tr.Stats().Dials)
				assert.Equal(t, []string{protocol}, handshakes)
			})
		}
	}
	t.Run("HTTP/2 is off", func(t *testing.T) {
		tr := &transport.Transport{DialTLSContext: dial(kinds["told"], "h2")}
		defer func() { assert.NoError(t, tr.Close()) }()
		_, err := (&http.Client{Transport: tr}).Get(server.URL)
		assert.ErrorContains(t, err, "HTTP/2")
	})
}

// What DialContext returns is not asked for the state of its TLS, as net/http does not ask for it: a wrapper for both may have none.
func TestDialContextIsNotAskedForTLS(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(echo))
	defer server.Close()
	dial := func(_ context.Context, network, addr string) (net.Conn, error) {
		nc, err := net.Dial(network, addr)
		return told{nc, nil}, err // panics when it is asked
	}
	for name, rt := range map[string]roundTripper{"std": &http.Transport{DialContext: dial}, "ours": &transport.Transport{DialContext: dial}} {
		t.Run(name, func(t *testing.T) {
			defer rt.CloseIdleConnections()
			for range 2 {
				resp, err := (&http.Client{Transport: rt}).Get(server.URL)
				require.NoError(t, err)
				assert.Nil(t, resp.TLS)
				require.NoError(t, resp.Body.Close())
			}
		})
	}
}
