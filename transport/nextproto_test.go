package transport_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"

	"github.com/watertight-go/watertight/transport"
)

// speaksHTTP2 makes a setting that leaves "h2" to x/net's client connections by TLSNextProto, and counts them.
func speaksHTTP2(calls *atomic.Int64, authority *atomic.Value) setting {
	return func(tr *http.Transport) {
		tr.TLSClientConfig.NextProtos = []string{"h2", "http/1.1"}
		tr.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{
			"h2": func(name string, c *tls.Conn) http.RoundTripper {
				calls.Add(1)
				authority.Store(name)
				cc, err := new(http2.Transport).NewClientConn(c)
				if err != nil {
					return failing{err}
				}
				return cc
			},
		}
	}
}

type failing struct{ error }

func (f failing) RoundTrip(*http.Request) (*http.Response, error) { return nil, f.error }

func http2Story(t *testing.T, handler http.HandlerFunc, std bool, settings ...setting) *story {
	s := &story{T: t, server: httptest.NewUnstartedServer(handler)}
	s.server.EnableHTTP2 = true
	s.server.StartTLS()
	t.Cleanup(s.server.Close)
	s.connect(std, settings...)
	return s
}

// A function of TLSNextProto serves all requests on the connection that negotiated its protocol, many at once; the connection is
// pooled and closed like any other.
func TestTLSNextProto(t *testing.T) {
	for _, std := range []bool{true, false} {
		t.Run(map[bool]string{false: "ours", true: "std"}[std], func(t *testing.T) {
			var calls atomic.Int64
			var authority atomic.Value
			s := http2Story(t, echo, std, speaksHTTP2(&calls, &authority))
			resp := s.get("/")
			assert.Equal(s, 2, resp.ProtoMajor)
			assert.Equal(s, "h2", resp.TLS.NegotiatedProtocol)
			assert.Equal(s, "GET ", s.read(resp))
			var wg sync.WaitGroup
			for range 20 {
				wg.Go(func() { assert.Equal(s, "GET ", s.read(s.get("/"))) })
			}
			wg.Wait()
			assert.Equal(s, s.server.Listener.Addr().String(), authority.Load())
			if !std { // net/http's connection is sometimes not back for the next request
				s.wantDials(1)
				assert.EqualValues(s, 1, calls.Load())
			}
			s.rt.CloseIdleConnections()
			s.read(s.get("/"))
			if !std {
				s.wantDials(2)
			}
		})
	}
}

// A request's body, an error of the protocol and a cancelled request pass through; a broken connection is not used again.
func TestTLSNextProtoFails(t *testing.T) {
	var calls atomic.Int64
	s := http2Story(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/abort" {
			panic(http.ErrAbortHandler)
		}
		echo(w, r)
	}, false, speaksHTTP2(&calls, new(atomic.Value)))
	body := &countedBody{Reader: io.LimitReader(zeros{}, 100000)}
	assert.Len(s, s.read(s.send(s.request(http.MethodPost, "/", body))), 100000+len("POST "))
	s.eventually("closed once", func() bool { return body.closes.Load() == 1 })
	_, err := s.rt.RoundTrip(s.request(http.MethodGet, "/abort", nil))
	var se http2.StreamError
	require.ErrorAs(s, err, &se)
	s.read(s.get("/"))
	s.server.CloseClientConnections()
	s.eventually("the end is noticed", func() bool { return s.ours.Stats().Open == 0 })
	s.read(s.get("/"))
	assert.Zero(s, s.ours.Stats().Leased)
}

// A response of theirs may have no body at all, also one to a request that is cancelled meanwhile.
func TestTLSNextProtoWithoutABody(t *testing.T) {
	cancel := make(chan struct{})
	s := http2Story(t, echo, false, func(tr *http.Transport) {
		tr.TLSClientConfig.NextProtos = []string{"h2"}
		tr.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{
			"h2": func(string, *tls.Conn) http.RoundTripper { return bodiless{cancel} },
		}
	})
	resp := s.send(s.request(http.MethodGet, "/", nil))
	assert.Nil(s, resp.Body)
	req := s.request(http.MethodGet, "/cancel", nil)
	req.Cancel = cancel
	_, err := s.rt.RoundTrip(req)
	assert.ErrorContains(s, err, "request canceled")
	assert.Zero(s, s.ours.Stats().Leased)
}

type bodiless struct{ cancel chan struct{} }

func (b bodiless) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Path == "/cancel" {
		close(b.cancel)
	}
	return &http.Response{StatusCode: http.StatusNoContent, Header: http.Header{}}, nil
}

// Bodies of such responses are guarded: a dropped one is closed and reported.
func TestTLSNextProtoIsGuarded(t *testing.T) {
	var calls atomic.Int64
	s := http2Story(t, sized, false, speaksHTTP2(&calls, new(atomic.Value)))
	leaks := s.leaks()
	_ = s.get("/1000000")
	assert.Len(s, s.ours.OpenBodies(), 1)
	s.eventuallyCollected("a report", func() bool { return len(leaks()) == 1 })
	assert.Equal(s, transport.Dropped, leaks()[0].Cause)
	assert.Zero(s, s.ours.Stats().Leased)
}

// Where TLSNextProto has nobody for a protocol, HTTP/1.1 is spoken, and "h2" is not offered; a WebSocket upgrade offers nothing.
func TestTLSNextProtoOfOthers(t *testing.T) {
	for _, std := range []bool{true, false} {
		s := http2Story(t, echo, std, func(tr *http.Transport) {
			tr.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{"other": func(string, *tls.Conn) http.RoundTripper {
				return failing{errors.New("not asked for")}
			}}
		})
		resp := s.get("/")
		assert.Equal(s, 1, resp.ProtoMajor)
		s.read(resp)
	}
	var calls atomic.Int64
	s := http2Story(t, echo, false, speaksHTTP2(&calls, new(atomic.Value)))
	req := s.request(http.MethodGet, "/", nil)
	req.Header.Set("Connection", "upgrade")
	req.Header.Set("Upgrade", "websocket")
	resp := s.send(req)
	assert.Equal(s, 1, resp.ProtoMajor)
	assert.Empty(s, resp.TLS.NegotiatedProtocol)
	s.read(resp)
	assert.Zero(s, calls.Load())
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// Where somebody of TLSNextProto reads the server's end, and closes the connection for it before the reaper comes to say so, the server was
// first; where it closes one for a reason of its own, we were.
func TestTLSNextProtoPeerFirst(t *testing.T) {
	var calls atomic.Int64
	var authority atomic.Value
	var last atomic.Pointer[tls.Conn]
	s := http2Story(t, sized, false, speaksHTTP2(&calls, &authority), func(tr *http.Transport) {
		speaks := tr.TLSNextProto["h2"]
		tr.TLSNextProto["h2"] = func(name string, c *tls.Conn) http.RoundTripper {
			last.Store(c)
			return speaks(name, c)
		}
	})
	const n = 50
	for i := range n {
		s.read(s.get("/10"))
		s.eventually("idle", func() bool { return s.ours.Stats().Idle == 1 })
		s.server.CloseClientConnections()
		s.eventually("closed", func() bool { return closed(s.ours.Stats().Counts) == int64(i+1) })
	}
	assert.EqualValues(s, n, s.ours.Stats().PeerFirst, "%v", s.ours.Stats().Closes)
	s.read(s.get("/10"))
	_ = last.Load().NetConn().Close() // without a goodbye, which the server might answer
	s.eventually("closed", func() bool { return closed(s.ours.Stats().Counts) == n+1 })
	assert.EqualValues(s, n, s.ours.Stats().PeerFirst)
}

// A RoundTripper of theirs may say that its connection takes no more requests, as those of x/net do: the request goes to another one, also
// where it is the first on its connection, and a body that was read is had anew. It ends where every connection says so.
func TestTLSNextProtoIsSpent(t *testing.T) {
	for _, std := range []bool{true, false} {
		t.Run(map[bool]string{false: "ours", true: "std"}[std], func(t *testing.T) {
			var conns atomic.Int64
			s := http2Story(t, echo, std, func(tr *http.Transport) {
				tr.TLSClientConfig.NextProtos = []string{"h2"}
				tr.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{
					"h2": func(string, *tls.Conn) http.RoundTripper { return takes{left: conns.Add(1) - 1} },
				}
			})
			req := s.request(http.MethodPost, "/", strings.NewReader("once"))
			assert.Equal(s, "once", s.read(s.send(req)))
			assert.EqualValues(s, 2, conns.Load())
			if !std { // net/http goes on for ever
				conns.Store(-10)
				s.rt.CloseIdleConnections()
				ctx, cancel := context.WithTimeout(s.Context(), time.Second/2) // it waits between some of them
				defer cancel()
				_, err := s.rt.RoundTrip(s.request(http.MethodGet, "/", nil).WithContext(ctx))
				assert.Error(s, err)
				assert.Negative(s, conns.Load())
			}
		})
	}
}

// takes is a connection that takes requests if any are left.
type takes struct{ left int64 }

func (c takes) RoundTrip(req *http.Request) (*http.Response, error) {
	var sent []byte
	if req.Body != nil {
		sent, _ = io.ReadAll(req.Body)
		_ = req.Body.Close()
	}
	if c.left <= 0 {
		return nil, spent{}
	}
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(sent))}, nil
}

type spent struct{}

func (spent) Error() string             { return "spent" }
func (spent) IsHTTP2NoCachedConnError() {}
