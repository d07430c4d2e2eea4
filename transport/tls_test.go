package transport_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/internal/badserver"
)

// TLSClientConfig is used and not changed: its ServerName wins over the URL's host, its key log is written, its certificate
// shown, its session cache filled and used, its own verification called.
func TestTLSClientConfig(t *testing.T) {
	var serverNames, resumed atomic.Int64
	var keyLog bytes.Buffer
	handler := func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "example.com", r.TLS.ServerName)
		assert.Len(t, r.TLS.PeerCertificates, 1)
		serverNames.Add(1)
		if r.TLS.DidResume {
			resumed.Add(1)
		}
	}
	for _, std := range []bool{true, false} {
		s := &story{T: t, server: httptest.NewUnstartedServer(http.HandlerFunc(handler))}
		s.server.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
		s.server.StartTLS()
		defer s.server.Close()
		verified := 0
		cfg := trust(s.server)
		cfg.ServerName = "example.com"
		cfg.KeyLogWriter = &keyLog
		cfg.ClientSessionCache = tls.NewLRUClientSessionCache(10)
		cfg.Certificates = []tls.Certificate{s.server.TLS.Certificates[0]}
		cfg.VerifyConnection = func(cs tls.ConnectionState) error { verified++; return nil }
		s.connect(std, func(tr *http.Transport) { tr.TLSClientConfig = cfg; tr.DisableKeepAlives = true })
		keyLog.Reset()
		resumed.Store(0)
		for range 3 {
			resp := s.get("/")
			require.NotNil(s, resp.TLS)
			assert.True(s, resp.TLS.HandshakeComplete)
			s.read(resp)
		}
		assert.Equal(s, 3, verified)
		assert.Positive(s, resumed.Load(), "the session cache is used")
		assert.Contains(s, keyLog.String(), "CLIENT_HANDSHAKE_TRAFFIC_SECRET")
		assert.Empty(s, cfg.NextProtos)
		assert.Equal(s, "example.com", cfg.ServerName)
	}
	assert.EqualValues(t, 6, serverNames.Load())
}

// A certificate that is not trusted, or is another's, is crypto/tls's own error; nothing is sent and nothing is left.
func TestCertificateErrors(t *testing.T) {
	served := func(http.ResponseWriter, *http.Request) { t.Error("served") }
	stdAndOurs(t, served, func(s *story) {
		_, err := s.rt.RoundTrip(s.request(http.MethodGet, "/", nil))
		var unknown x509.UnknownAuthorityError
		assert.ErrorAs(s, err, &unknown)
		var verification *tls.CertificateVerificationError
		assert.ErrorAs(s, err, &verification)
		if s.ours != nil {
			assert.Zero(s, s.ours.Stats().Open)
		}
	}, func(tr *http.Transport) { tr.TLSClientConfig = nil })
	stdAndOurs(t, served, func(s *story) {
		_, err := s.rt.RoundTrip(s.request(http.MethodGet, "/", nil))
		var name x509.HostnameError
		require.ErrorAs(s, err, &name)
		assert.Equal(s, "other.example", name.Host)
	}, func(tr *http.Transport) { tr.TLSClientConfig.ServerName = "other.example" })
}

// A server that speaks HTTP where TLS was expected is told by http.Client in plain words.
func TestHTTPResponseToHTTPSClient(t *testing.T) {
	for _, std := range []bool{true, false} {
		s := newStory(t, echo, false, std)
		req := s.request(http.MethodGet, "/", nil)
		req.URL.Scheme = "https"
		_, err := (&http.Client{Transport: s.rt}).Do(req)
		require.ErrorContains(s, err, "server gave HTTP response to HTTPS client")
	}
}

// TLSHandshakeTimeout is a net.Error that says so; a request whose context ends during a handshake gets its cause at once.
func TestTLSHandshakeTimeout(t *testing.T) {
	silent := badserver.Script{badserver.Stall{}}
	for _, std := range []bool{true, false} {
		server := badserver.Start(t, silent, silent)
		s := newStory(t, echo, true, std, func(tr *http.Transport) { tr.TLSHandshakeTimeout = 20 * time.Millisecond })
		req := s.request(http.MethodGet, "/", nil)
		req.URL.Host = server.URL[len("http://"):]
		_, err := s.rt.RoundTrip(req)
		var ne net.Error
		require.ErrorAs(s, err, &ne)
		assert.True(s, ne.Timeout())
		assert.Contains(s, err.Error(), "TLS handshake timeout")

		s.connect(std)
		ctx, cancel := context.WithCancelCause(s.Context())
		mine := errors.New("mine")
		time.AfterFunc(10*time.Millisecond, func() { cancel(mine) })
		_, err = s.rt.RoundTrip(req.WithContext(ctx))
		assert.Equal(s, mine, err)
	}
}

// A server that hangs up during the handshake, or answers nonsense, costs the connection and is told.
func TestHandshakeFails(t *testing.T) {
	for _, last := range []badserver.Script{{badserver.Read(5), badserver.Close{}}, {badserver.Read(5), badserver.RST{}}, {badserver.Write("nonsense, and a lot of it"), badserver.Stall{}}} {
		for _, std := range []bool{true, false} {
			server := badserver.Start(t, last)
			s := newStory(t, echo, true, std)
			req := s.request(http.MethodGet, "/", nil)
			req.URL.Host = server.URL[len("http://"):]
			_, err := s.rt.RoundTrip(req)
			require.Error(s, err)
			if s.ours != nil {
				st := s.ours.Stats()
				assert.Zero(s, st.Open+st.Dialing+st.Leased)
			}
		}
	}
}

// The caller's TLS dialers are used for https and nothing else, whether they return a tls.Conn, handshake done or not, or hide it;
// Response.TLS tells what is known, and the connection is used again.
func TestCustomTLSDialers(t *testing.T) {
	for name, wrap := range map[string]func(*tls.Conn) net.Conn{
		"tls.Conn": func(c *tls.Conn) net.Conn { return c },
		"hidden":   func(c *tls.Conn) net.Conn { return struct{ net.Conn }{c} },
	} {
		for _, old := range []bool{false, true} {
			t.Run(name+map[bool]string{true: " DialTLS", false: " DialTLSContext"}[old], func(t *testing.T) {
				everywhere(t, echo, func(s *story) {
					resp := s.get("/")
					assert.Equal(s, s.server.TLS != nil && name == "tls.Conn", resp.TLS != nil)
					assert.Equal(s, "GET ", s.read(resp))
					s.read(s.get("/"))
					s.wantDials(1)
				}, func(tr *http.Transport) {
					plain, cfg := tr.DialContext, tr.TLSClientConfig
					dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
						nc, err := plain(ctx, network, addr)
						if err != nil {
							return nil, err
						}
						own := cfg.Clone()
						own.ServerName = "example.com"
						return wrap(tls.Client(nc, own)), nil
					}
					tr.TLSClientConfig = nil
					if old {
						tr.DialTLS = func(network, addr string) (net.Conn, error) { return dial(context.Background(), network, addr) }
					} else {
						tr.DialTLSContext = dial
					}
				})
			})
		}
	}
}

// DialTLSContext may return a connection that is not encrypted at all.
func TestPlainConnectionFromDialTLS(t *testing.T) {
	for _, std := range []bool{true, false} {
		s := newStory(t, echo, false, std)
		s.connect(std, func(tr *http.Transport) { tr.DialTLSContext = s.dial })
		req := s.request(http.MethodPost, "/", http.NoBody)
		req.URL.Scheme = "https"
		resp := s.send(req)
		assert.Nil(s, resp.TLS)
		assert.Equal(s, "POST ", s.read(resp))
	}
}

// Many requests at once over TLS get their own answers.
func TestTLSConcurrency(t *testing.T) {
	stdAndOurs(t, echo, func(s *story) {
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				for range 20 {
					resp := s.send(s.request(http.MethodPost, "/", bytes.NewReader(make([]byte, 20000))))
					n, err := io.Copy(io.Discard, resp.Body)
					assert.NoError(s, err)
					assert.EqualValues(s, 20000+len("POST "), n)
				}
			})
		}
		wg.Wait()
	})
}
