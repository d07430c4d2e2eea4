package transport_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/internal/badserver"
	"github.com/watertight-go/watertight/internal/memnet"
	"github.com/watertight-go/watertight/transport"
)

// stdAndOurs tells a story over https on net/http and on ours.
func stdAndOurs(t *testing.T, handler http.HandlerFunc, tell func(s *story), settings ...setting) {
	for _, std := range []bool{true, false} {
		t.Run(map[bool]string{false: "ours", true: "std"}[std], func(t *testing.T) {
			tell(newStory(t, handler, true, std, settings...))
		})
	}
}

// proxyAt makes a setting of a proxy's URL.
func proxyAt(t testing.TB, rawURL string) setting {
	u, err := url.Parse(rawURL)
	require.NoError(t, err)
	return func(tr *http.Transport) { tr.Proxy = http.ProxyURL(u) }
}

// ProxyConnectHeader goes to the proxy and not to the origin; GetProxyConnectHeader comes before it. Neither is changed, although
// credentials are added on the wire.
func TestProxyConnectHeader(t *testing.T) {
	p := startProxy(t)
	fixed, made := http.Header{"X-Fixed": {"1"}}, http.Header{"X-Made": {"2"}}
	handler := func(w http.ResponseWriter, r *http.Request) {
		assert.Empty(t, r.Header["X-Fixed"])
		assert.Empty(t, r.Header["X-Made"])
	}
	for _, get := range []bool{false, true} {
		stdAndOurs(t, handler, func(s *story) {
			s.read(s.get("/"))
			_, header := p.seen()
			assert.Equal(s, get, header.Get("X-Made") == "2")
			assert.Equal(s, !get, header.Get("X-Fixed") == "1")
			assert.NotEmpty(s, header.Get("Proxy-Authorization"))
			assert.Equal(s, http.Header{"X-Fixed": {"1"}}, fixed)
			assert.Equal(s, http.Header{"X-Made": {"2"}}, made)
		}, p.through(t), func(tr *http.Transport) {
			tr.ProxyConnectHeader = fixed
			if get {
				tr.GetProxyConnectHeader = func(_ context.Context, proxy *url.URL, target string) (http.Header, error) {
					assert.Equal(t, "me", proxy.User.Username())
					assert.Contains(t, target, "127.0.0.1:")
					return made, nil
				}
			}
		})
	}
}

// An error of GetProxyConnectHeader or OnProxyConnectResponse is the request's, and the connection to the proxy is closed.
func TestProxyConnectHooksFail(t *testing.T) {
	mine := errors.New("mine")
	for name, set := range map[string]setting{
		"GetProxyConnectHeader": func(tr *http.Transport) {
			tr.GetProxyConnectHeader = func(context.Context, *url.URL, string) (http.Header, error) { return nil, mine }
		},
		"OnProxyConnectResponse": func(tr *http.Transport) {
			tr.OnProxyConnectResponse = func(_ context.Context, proxy *url.URL, req *http.Request, resp *http.Response) error {
				assert.Equal(t, http.MethodConnect, req.Method)
				assert.Equal(t, http.StatusOK, resp.StatusCode)
				return mine
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := startProxy(t)
			stdAndOurs(t, echo, func(s *story) {
				_, err := s.rt.RoundTrip(s.request(http.MethodGet, "/", nil))
				assert.Equal(s, mine, err)
				s.wantDials(1)
				if s.ours != nil {
					s.eventually("nothing is left", func() bool { return s.ours.Stats().Dialing == 0 })
				}
			}, p.through(t), set)
		})
	}
}

// What a proxy answers to CONNECT besides 200 is an error that says so; its head is bounded; nothing of the attempt is left.
func TestProxyAnswersToConnect(t *testing.T) {
	for name, tt := range map[string]struct{ raw, want string }{
		"refusal":      {"HTTP/1.1 403 No way\r\nContent-Length: 0\r\n\r\n", "No way"},
		"long reason":  {"HTTP/1.1 403 " + strings.Repeat("No way ", 1000) + "\r\nContent-Length: 0\r\n\r\n", "No way"},
		"no reason":    {"HTTP/1.1 403\r\n\r\n", ""},
		"nothing":      {"", "EOF"},
		"half a head":  {"HTTP/1.1 200 OK\r\nA:", "unexpected EOF"},
		"garbage":      {"hello\r\n\r\n", "malformed"},
		"endless head": {"HTTP/1.1 200 OK\r\n" + strings.Repeat("A: b\r\n", 20000), ""},
	} {
		t.Run(name, func(t *testing.T) {
			for _, std := range []bool{true, false} {
				server := badserver.Start(t, badserver.Script{badserver.ReadHead{}, badserver.Write(tt.raw), badserver.FIN{}, badserver.Stall{}})
				s := newStory(t, echo, true, std, proxyAt(t, server.URL), func(tr *http.Transport) { tr.MaxResponseHeaderBytes = 10000 })
				_, err := s.rt.RoundTrip(s.request(http.MethodGet, "/", nil))
				require.Error(s, err)
				assert.Contains(s, err.Error(), tt.want)
				if s.ours != nil {
					assert.Less(s, len(err.Error()), 1000, "it may be logged")
					s.eventually("nothing is left", func() bool { st := s.ours.Stats(); return st.Open+st.Dialing == 0 })
				}
			}
		})
	}
}

// What a proxy says at once is read to its end, however large the heads before it are.
func TestConnectRefusalBehindALargeHead(t *testing.T) {
	body := strings.Repeat("b", 6000)
	says := "HTTP/1.1 103 Early Hints\r\nLink: " + strings.Repeat("l", 8192) + "\r\n\r\nHTTP/1.1 407 No\r\nContent-Length: 6000\r\n\r\n" + body
	proxy := badserver.Start(t, badserver.Script{badserver.ReadHead{}, badserver.Write(says), badserver.FIN{}, badserver.Stall{}})
	base := &http.Transport{}
	proxyAt(t, proxy.URL)(base)
	var got []byte
	tr := &transport.Transport{Proxy: base.Proxy, OnProxyConnectResponse: func(_ context.Context, _ *url.URL, _ *http.Request, resp *http.Response) (err error) {
		got, err = io.ReadAll(resp.Body)
		return err
	}}
	defer tr.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://origin.example/", nil)
	require.NoError(t, err)
	_, err = tr.RoundTrip(req)
	assert.ErrorContains(t, err, "with 407 No")
	assert.Equal(t, len(body), len(got))
}

// Who reads what a proxy says with its refusal is not held up by one that says half of it: not beyond Close, and nothing is left.
func TestConnectRefusalThatHangs(t *testing.T) {
	for name, end := range map[string]func(*testing.T, *transport.Transport){
		"Close": func(t *testing.T, tr *transport.Transport) { require.NoError(t, tr.Close()) },
		"the end of the request, which nobody else waits for": func(t *testing.T, tr *transport.Transport) {
			require.Eventually(t, func() bool { return tr.Stats().Dialing == 0 }, patience, tick)
		},
	} {
		t.Run(name, func(t *testing.T) {
			proxy := badserver.Start(t, badserver.Script{badserver.ReadHead{}, badserver.Write("HTTP/1.1 407 No\r\nContent-Length: 9\r\n\r\nhal"), badserver.Stall{}})
			base := &http.Transport{}
			proxyAt(t, proxy.URL)(base)
			reading := make(chan struct{})
			tr := &transport.Transport{Proxy: base.Proxy, OnProxyConnectResponse: func(_ context.Context, _ *url.URL, _ *http.Request, resp *http.Response) error {
				close(reading)
				_, err := io.ReadAll(resp.Body)
				return err
			}}
			defer tr.Close()
			ctx, cancel := context.WithCancel(t.Context())
			failed := make(chan error, 1)
			go func() {
				req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://origin.example/", nil)
				assert.NoError(t, err)
				_, err = tr.RoundTrip(req)
				failed <- err
			}()
			<-reading
			if name != "Close" {
				cancel()
			}
			ended := make(chan struct{})
			go func() { defer close(ended); end(t, tr) }()
			select {
			case <-ended:
			case <-time.After(patience):
				t.Fatal("it hangs")
			}
			require.Error(t, <-failed)
			cancel()
			st := tr.Stats()
			assert.Zero(t, st.Open+st.Dialing+st.Waiting)
		})
	}
}

// A proxy that never answers CONNECT ends with the request: its connection is closed. A request that waits for the same tunnel
// goes on waiting.
func TestConnectThatHangs(t *testing.T) {
	synctestProxy(t, func(t *testing.T, n *memnet.Network, asked <-chan net.Conn, tr *transport.Transport) {
		ctx, cancel := context.WithCancelCause(t.Context())
		failed := make(chan error)
		ask := func(ctx context.Context) {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://origin.example/", nil)
			assert.NoError(t, err)
			_, err = tr.RoundTrip(req)
			failed <- err
		}
		go ask(ctx)
		proxy := <-asked
		enough := errors.New("enough")
		cancel(enough)
		assert.Equal(t, enough, <-failed)
		start := time.Now()
		_, err := proxy.Read(make([]byte, 1))
		assert.Equal(t, io.EOF, err)
		assert.Zero(t, time.Since(start))
		require.NoError(t, proxy.Close())
		synctest.Wait()
		assert.Zero(t, tr.Stats().Dialing)
		assert.Zero(t, tr.Stats().DialErrors, "nobody waited for it")

		tr = tr.Clone()
		tr.MaxConnsPerHost = 1
		ctx, cancel = context.WithCancelCause(t.Context())
		go ask(ctx)
		proxy = <-asked
		later, end := context.WithTimeout(t.Context(), time.Minute)
		defer end()
		go ask(later)
		time.Sleep(time.Second)
		cancel(enough)
		assert.Equal(t, enough, <-failed)
		time.Sleep(time.Second)
		assert.Equal(t, 1, tr.Stats().Dialing)
		for range 2 { // another's dial, and then one of its own
			_, err = io.WriteString(proxy, "HTTP/1.1 418 Teapot\r\n\r\n")
			require.NoError(t, err)
			require.NoError(t, proxy.Close())
			select {
			case proxy = <-asked:
			case err = <-failed:
			}
		}
		assert.ErrorContains(t, err, "with 418 Teapot")
		assert.EqualValues(t, 2, tr.Stats().DialErrors)
		require.NoError(t, tr.Close())
	})
}

// synctestProxy tells a story in a bubble, of a transport and a proxy that hands over each connection with its CONNECT read.
func synctestProxy(t *testing.T, tell func(t *testing.T, n *memnet.Network, asked <-chan net.Conn, tr *transport.Transport)) {
	bubble(t, echo, func(t *testing.T, n *memnet.Network, _ *http.Server, tr *transport.Transport) {
		l, err := n.Listen("proxy.example:3128")
		require.NoError(t, err)
		asked := make(chan net.Conn)
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				_, err = http.ReadRequest(bufio.NewReader(c))
				assert.NoError(t, err)
				asked <- c
			}
		}()
		tr.Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: "proxy.example:3128"})
		tell(t, n, asked, tr)
		require.NoError(t, l.Close())
	})
}

// An https proxy is spoken to over TLS: http requests are forwarded, https ones go through a tunnel with TLS of its own.
func TestHTTPSProxy(t *testing.T) {
	p := &testProxy{}
	p.Server = httptest.NewUnstartedServer(http.HandlerFunc(p.serve))
	p.StartTLS()
	t.Cleanup(p.Close)
	everywhere(t, echo, func(s *story) {
		https := s.server.TLS != nil
		before, _ := p.seen()
		for range 2 {
			resp := s.get("/a")
			got := s.read(resp)
			if https {
				assert.Equal(s, "GET ", got)
				require.NotNil(s, resp.TLS)
			} else {
				assert.Equal(s, "forwarded "+s.server.URL+"/a", got)
			}
		}
		asked, _ := p.seen()
		want := "GET " + s.server.URL + "/a"
		if https {
			want = "CONNECT " + s.server.Listener.Addr().String()
		}
		assert.Equal(s, want, asked[len(before)])
		s.wantDials(1)
	}, proxyAt(t, p.URL), func(tr *http.Transport) {
		tr.TLSClientConfig = &tls.Config{RootCAs: trust(p.Server).RootCAs}
		// httptest's servers all have the same certificate.
	})
}

// An https proxy is dialed by the caller's TLS dialer, where there is one; the origin behind it is not.
func TestHTTPSProxyByACustomTLSDialer(t *testing.T) {
	p := &testProxy{}
	p.Server = httptest.NewUnstartedServer(http.HandlerFunc(p.serve))
	p.StartTLS()
	t.Cleanup(p.Close)
	config := &tls.Config{RootCAs: trust(p.Server).RootCAs}
	var dialed atomic.Int64
	everywhere(t, echo, func(s *story) {
		before := dialed.Load()
		s.read(s.get("/a"))
		assert.EqualValues(s, 1, dialed.Load()-before)
	}, proxyAt(t, p.URL), func(tr *http.Transport) {
		tr.TLSClientConfig = config
		tr.DialTLSContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			dialed.Add(1)
			assert.Equal(t, p.Listener.Addr().String(), addr)
			return (&tls.Dialer{Config: config}).DialContext(ctx, network, addr)
		}
	})
}

// A proxy that cannot be dialed is told as the proxy's failure, with the cause by identity.
func TestProxyDialError(t *testing.T) {
	mine := errors.New("no route")
	for _, scheme := range []string{"http", "https", "socks5"} {
		stdAndOurs(t, echo, func(s *story) {
			_, err := s.rt.RoundTrip(s.request(http.MethodGet, "/", nil))
			var oe *net.OpError
			require.ErrorAs(s, err, &oe)
			assert.Equal(s, "proxyconnect tcp", fmt.Sprintf("%s %s", oe.Op, oe.Net))
			assert.Equal(s, mine, oe.Err)
		}, proxyAt(t, scheme+"://proxy.example:1"), func(tr *http.Transport) {
			tr.DialContext = func(context.Context, string, string) (net.Conn, error) { return nil, mine }
		})
	}
}
