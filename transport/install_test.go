package transport_test

import (
	"bytes"
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/transport"
)

// installations are what Install is called on.
var installations = map[string]func() *http.Transport{
	"fresh":    func() *http.Transport { return &http.Transport{} },
	"default":  func() *http.Transport { return http.DefaultTransport.(*http.Transport).Clone() },
	"no http2": func() *http.Transport { return &http.Transport{Protocols: onlyHTTP1()} },
}

func onlyHTTP1() *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	return p
}

// bothSchemes runs a test against a server without and with TLS, which offers HTTP/2 as well.
func bothSchemes(t *testing.T, handler http.HandlerFunc, run func(t *testing.T, server *httptest.Server)) {
	for _, scheme := range []string{"http", "https"} {
		t.Run(scheme, func(t *testing.T) {
			server := httptest.NewUnstartedServer(handler)
			defer server.Close()
			if scheme == "https" {
				server.EnableHTTP2 = true
				server.StartTLS()
			} else {
				server.Start()
			}
			run(t, server)
		})
	}
}

// Behind an http.Transport ours is known to http.Client as one that goes by contexts, for http.
func TestInstalledIsKnown(t *testing.T) {
	std := &http.Transport{}
	own, err := transport.Install(std)
	require.NoError(t, err)
	defer own.Close()
	var seen *http.Request
	own.RegisterProtocol("http", roundTripFunc(func(req *http.Request) (*http.Response, error) {
		seen = req
		return &http.Response{StatusCode: http.StatusNoContent, Body: http.NoBody, Request: req}, nil
	}))
	_, err = (&http.Client{Transport: std, Timeout: time.Hour}).Get("http://somewhere.example")
	require.NoError(t, err)
	assert.Nil(t, seen.Cancel)
	_, limited := seen.Context().Deadline()
	assert.True(t, limited)
}

// An http.Transport with ours installed sends through ours, closes our idle connections, and net/http logs nothing.
func TestInstall(t *testing.T) {
	var logged lockedBuffer
	defer log.SetOutput(log.Writer())
	log.SetOutput(&logged)
	for name, build := range installations {
		t.Run(name, func(t *testing.T) {
			bothSchemes(t, echo, func(t *testing.T, server *httptest.Server) {
				std := build()
				std.TLSClientConfig = trust(server)
				own, err := transport.Install(std)
				require.NoError(t, err)
				defer own.Close()
				client := &http.Client{Transport: std}
				for range 2 {
					resp, err := client.Post(server.URL, "text/plain", strings.NewReader("hello"))
					require.NoError(t, err)
					b, err := io.ReadAll(resp.Body)
					require.NoError(t, err)
					assert.Equal(t, "POST hello", string(b))
				}
				st := own.Stats()
				assert.Equal(t, []int64{1, 1}, []int64{st.Dials, st.Reuses})
				assert.Equal(t, 1, st.Idle)
				client.CloseIdleConnections()
				assert.Zero(t, own.Stats().Open)
			})
		})
	}
	assert.Empty(t, logged.String())
}

// Install takes over each field as it is set: it fills in nothing, and shares no map or configuration.
func TestInstallTakesEveryField(t *testing.T) {
	std := filled(t)
	own, err := transport.Install(std)
	require.NoError(t, err)
	want, got, settled := reflect.ValueOf(std).Elem(), reflect.ValueOf(own).Elem(), reflect.ValueOf(own.Clone()).Elem()
	for i := range want.NumField() {
		f := want.Type().Field(i)
		if !f.IsExported() {
			continue
		}
		w, g := want.Field(i), got.FieldByName(f.Name)
		switch f.Type.Kind() {
		case reflect.Func:
			assert.False(t, g.IsNil(), f.Name)
			assert.Equal(t, w.Pointer(), settled.FieldByName(f.Name).Pointer(), f.Name)
		case reflect.Pointer, reflect.Map:
			assert.NotEqual(t, w.Pointer(), g.Pointer(), f.Name)
			assert.False(t, g.IsNil(), f.Name)
		default:
			assert.Equal(t, w.Interface(), g.Interface(), f.Name)
		}
	}
}

// A second Install, one after the first request, and one where a scheme is taken already are refused; the
// http.Transport then works as it did.
func TestInstallRefused(t *testing.T) {
	for name, before := range map[string]func(*http.Transport, string) *transport.Transport{
		"twice": func(std *http.Transport, _ string) *transport.Transport {
			own, _ := transport.Install(std)
			return own
		},
		"after first use": func(std *http.Transport, url string) *transport.Transport {
			resp, err := std.RoundTrip(httptest.NewRequest(http.MethodGet, url, nil))
			if err == nil {
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			}
			return nil
		},
		"after a Clone": func(std *http.Transport, _ string) *transport.Transport {
			std.Clone() // of which From makes one as well
			return nil
		},
		"scheme taken": func(std *http.Transport, url string) *transport.Transport {
			scheme, _, _ := strings.Cut(url, ":")
			other := &http.Transport{TLSClientConfig: std.TLSClientConfig, DisableKeepAlives: true}
			std.RegisterProtocol(scheme, struct{ *http.Transport }{other})
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			proto := func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) }
			bothSchemes(t, proto, func(t *testing.T, server *httptest.Server) {
				var dials atomic.Int64
				dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
					dials.Add(1)
					return new(net.Dialer).DialContext(ctx, network, addr)
				}
				std := &http.Transport{TLSClientConfig: trust(server), DialContext: dial, ForceAttemptHTTP2: true}
				defer std.CloseIdleConnections()
				first := before(std, server.URL)
				own, err := transport.Install(std)
				require.ErrorContains(t, err, "install before the transport's first request and Clone, and once")
				assert.Nil(t, own)
				resp, err := std.RoundTrip(httptest.NewRequest(http.MethodGet, server.URL, nil))
				require.NoError(t, err)
				b, err := io.ReadAll(resp.Body)
				require.NoError(t, err)
				require.NoError(t, resp.Body.Close())
				if first != nil {
					assert.EqualValues(t, 1, first.Stats().Dials)
				}
				if name == "after first use" {
					assert.EqualValues(t, 1, dials.Load(), "its connection is used again")
					assert.Equal(t, server.TLS != nil, string(b) == "HTTP/2.0")
				}
			})
		})
	}
	_, err := transport.Install(nil)
	assert.Error(t, err)
}

// A transport whose "http" somebody else answers keeps its HTTP/2 when Install is refused.
func TestInstallRefusedForHTTPLeavesHTTPS(t *testing.T) {
	proto := func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) }
	bothSchemes(t, proto, func(t *testing.T, server *httptest.Server) {
		std := &http.Transport{TLSClientConfig: trust(server), ForceAttemptHTTP2: true}
		defer std.CloseIdleConnections()
		std.RegisterProtocol("http", http.NewFileTransport(http.Dir(t.TempDir())))
		_, err := transport.Install(std)
		require.Error(t, err)
		resp, err := std.RoundTrip(httptest.NewRequest(http.MethodGet, server.URL, nil))
		require.NoError(t, err)
		b, _ := io.ReadAll(resp.Body)
		require.NoError(t, resp.Body.Close())
		assert.Equal(t, server.TLS != nil, string(b) == "HTTP/2.0")
	})
}

// Response.Request is the one that http.Client was given. One with a body net/http wraps before it asks ours: there
// it is net/http's copy, which differs in its Body alone.
func TestInstallKeepsTheRequest(t *testing.T) {
	bothSchemes(t, echo, func(t *testing.T, server *httptest.Server) {
		std := &http.Transport{TLSClientConfig: trust(server)}
		own, err := transport.Install(std)
		require.NoError(t, err)
		defer own.Close()
		for _, body := range []io.Reader{nil, strings.NewReader("hello")} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, body)
			require.NoError(t, err)
			resp, err := (&http.Client{Transport: std}).Do(req)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			if body == nil {
				assert.Same(t, req, resp.Request)
				continue
			}
			assert.Same(t, req.URL, resp.Request.URL)
			assert.Equal(t, req.Header, resp.Request.Header)
		}
	})
}

// A leak behind an installed transport is found, and http.Client's Timeout is named as it is with ours alone.
func TestInstalledGuards(t *testing.T) {
	bothSchemes(t, hang, func(t *testing.T, server *httptest.Server) {
		std := &http.Transport{TLSClientConfig: trust(server)}
		own, err := transport.Install(std)
		require.NoError(t, err)
		defer own.Close()
		leaks := make(chan transport.Leak, 1)
		own.OnLeak = func(l transport.Leak) { leaks <- l }
		func() {
			resp, err := (&http.Client{Transport: std}).Get(server.URL + "/body")
			require.NoError(t, err)
			_, err = io.ReadFull(resp.Body, make([]byte, 20000))
			require.NoError(t, err)
		}()
		collect(t, "reported", func() bool { return len(leaks) == 1 })
		assert.Zero(t, own.Stats().Open)

		_, err = (&http.Client{Transport: std, Timeout: 30 * time.Millisecond}).Get(server.URL + "/head")
		var ue *url.Error
		require.ErrorAs(t, err, &ue)
		assert.True(t, ue.Timeout())
		assert.Contains(t, err.Error(), "Client.Timeout exceeded while awaiting headers")
	})
}

// A transport that does not attempt HTTP/2 shows no trace of its first request: ours takes over after it.
func TestInstallAfterUseWithoutHTTP2(t *testing.T) {
	bothSchemes(t, echo, func(t *testing.T, server *httptest.Server) {
		std := &http.Transport{TLSClientConfig: trust(server), Protocols: onlyHTTP1(), DisableKeepAlives: true}
		var own *transport.Transport
		for i := range 2 {
			resp, err := std.RoundTrip(httptest.NewRequest(http.MethodGet, server.URL, nil))
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			if i == 0 {
				own, err = transport.Install(std)
				require.NoError(t, err)
			}
		}
		assert.EqualValues(t, 1, own.Stats().Dials)
		assert.NoError(t, own.Close())
	})
}

// A Clone of an installed transport goes its own way, without ours.
func TestInstallIsNotCloned(t *testing.T) {
	var logged bytes.Buffer
	defer log.SetOutput(log.Writer())
	log.SetOutput(&logged)
	bothSchemes(t, echo, func(t *testing.T, server *httptest.Server) {
		std := &http.Transport{TLSClientConfig: trust(server)}
		own, err := transport.Install(std)
		require.NoError(t, err)
		defer own.Close()
		clone := std.Clone()
		defer clone.CloseIdleConnections()
		resp, err := clone.RoundTrip(httptest.NewRequest(http.MethodGet, server.URL, nil))
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		assert.Zero(t, own.Stats().Dials)
		assert.Empty(t, logged.String())
	})
}
