package transport_test

import (
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/url"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A testProxy forwards requests and opens tunnels, and remembers what it was asked.
type testProxy struct {
	*httptest.Server
	mu     sync.Mutex
	asked  []string // method and target
	header http.Header
	refuse int    // status of the answer to CONNECT, unless 0
	to     string // where all tunnels lead; "": where they are asked for
}

func startProxy(t *testing.T) *testProxy {
	p := &testProxy{}
	p.Server = httptest.NewServer(http.HandlerFunc(p.serve))
	t.Cleanup(p.Close)
	return p
}

func (p *testProxy) serve(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.asked = append(p.asked, r.Method+" "+r.RequestURI)
	p.header = r.Header.Clone()
	refuse := p.refuse
	p.mu.Unlock()
	if r.Method != http.MethodConnect {
		_, _ = io.WriteString(w, "forwarded "+r.URL.String())
		return
	}
	if refuse != 0 {
		w.WriteHeader(refuse)
		return
	}
	to := r.Host
	if p.to != "" {
		to = p.to
	}
	target, err := net.Dial("tcp", to)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer target.Close()
	client, buffered, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer client.Close()
	_, _ = io.WriteString(client, "HTTP/1.1 200 Connection established\r\n\r\n")
	go func() {
		defer target.Close()
		_, _ = io.Copy(target, buffered)
	}()
	if _, err := io.Copy(client, target); err != nil {
		if secure, ok := client.(*tls.Conn); ok {
			client = secure.NetConn()
		}
		_ = client.(*net.TCPConn).SetLinger(0) // a reset is passed on
	}
}

func (p *testProxy) seen() (asked []string, header http.Header) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.asked...), p.header
}

// through makes a setting of a proxy with credentials.
func (p *testProxy) through(t *testing.T) setting {
	u, err := url.Parse(p.URL)
	require.NoError(t, err)
	u.User = url.UserPassword("me", "secret")
	return func(tr *http.Transport) { tr.Proxy = http.ProxyURL(u) }
}

// http requests go to an HTTP proxy with their whole URL, https ones through a tunnel; the URL's user info is sent to the proxy alone.
func TestHTTPProxy(t *testing.T) {
	for _, https := range []bool{false, true} {
		for _, std := range []bool{true, false} {
			t.Run(map[bool]string{true: "https", false: "http"}[https]+map[bool]string{true: " std", false: " ours"}[std], func(t *testing.T) {
				p := startProxy(t)
				handler := func(w http.ResponseWriter, r *http.Request) {
					assert.Empty(t, r.Header.Get("Proxy-Authorization"))
					_, _ = io.WriteString(w, "direct")
				}
				s := newStory(t, handler, https, std, p.through(t))
				for range 2 {
					got := s.read(s.get("/a?b"))
					if https {
						assert.Equal(s, "direct", got)
					} else {
						assert.Equal(s, "forwarded "+s.server.URL+"/a?b", got)
					}
				}
				asked, header := p.seen()
				assert.Equal(s, "Basic "+base64.StdEncoding.EncodeToString([]byte("me:secret")), header.Get("Proxy-Authorization"))
				if https {
					assert.Equal(s, []string{"CONNECT " + s.server.Listener.Addr().String()}, asked)
				} else {
					assert.Equal(s, []string{"GET " + s.server.URL + "/a?b", "GET " + s.server.URL + "/a?b"}, asked)
				}
				s.wantDials(1)
			})
		}
	}
}

// A proxy that refuses, and one that is not there, are told as net/http tells them, the former with more words; nothing is left of the attempt.
func TestProxyFailures(t *testing.T) {
	for _, std := range []bool{true, false} {
		p := startProxy(t)
		p.refuse = http.StatusProxyAuthRequired
		s := newStory(t, echo, true, std, p.through(t))
		_, err := s.rt.RoundTrip(s.request(http.MethodGet, "/", nil))
		require.Error(s, err)
		if std {
			assert.EqualError(s, err, "Proxy Authentication Required")
		} else {
			assert.EqualError(s, err, fmt.Sprintf("transport: proxy %s answered CONNECT %s with 407 Proxy Authentication Required", p.Listener.Addr(), s.server.Listener.Addr()))
		}

		gone, err := url.Parse("http://127.0.0.1:1")
		require.NoError(s, err)
		s.connect(std, func(tr *http.Transport) { tr.Proxy = http.ProxyURL(gone) })
		_, err = s.rt.RoundTrip(s.request(http.MethodGet, "/", nil))
		var oe *net.OpError
		require.ErrorAs(s, err, &oe)
		assert.Equal(s, "proxyconnect", oe.Op)

		failing := errors.New("no proxy today")
		s.connect(std, func(tr *http.Transport) {
			tr.Proxy = func(*http.Request) (*url.URL, error) { return nil, failing }
		})
		_, err = s.rt.RoundTrip(s.request(http.MethodGet, "/", nil))
		assert.Equal(s, failing, err)
		if s.ours != nil {
			assert.Zero(s, s.ours.Stats().Open)
		}
	}
}

// The URL of a proxy without a scheme, or with one that is no proxy's, is that of an HTTP proxy: the environment of many a machine names one
// as tcp://host:port.
func TestProxySchemes(t *testing.T) {
	for _, scheme := range []string{"", "tcp", "HTTP"} {
		for _, https := range []bool{false, true} {
			for _, std := range []bool{true, false} {
				p := startProxy(t)
				handler := func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "direct") }
				s := newStory(t, handler, https, std, func(tr *http.Transport) {
					tr.Proxy = http.ProxyURL(&url.URL{Scheme: scheme, Host: p.Listener.Addr().String()})
				})
				want := map[bool]string{false: "forwarded " + s.server.URL + "/a", true: "direct"}[https]
				for range 2 {
					assert.Equal(s, want, s.read(s.get("/a")), "%q, std %v", scheme, std)
				}
				s.wantDials(1)
				asked, _ := p.seen()
				assert.NotEmpty(s, asked, "%q, std %v", scheme, std)
			}
		}
	}
}

// httptrace.GetConn is told whom the request needs a connection to.
func TestGetConnNamesTheProxy(t *testing.T) {
	for _, https := range []bool{false, true} {
		for _, std := range []bool{true, false} {
			p := startProxy(t)
			s := newStory(t, echo, https, std, p.through(t))
			var asked string
			ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GetConn: func(addr string) { asked = addr }})
			s.read(s.send(s.request(http.MethodGet, "/", nil).WithContext(ctx)))
			assert.Equal(s, p.Listener.Addr().String(), asked)
		}
	}
}
