package transport_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/transport"
)

// A gate lets dials through one by one.
type gate struct {
	began   chan context.Context // the context of each dial as it begins
	proceed chan error           // what it shall do: nil, or fail
}

func newGate() *gate {
	return &gate{began: make(chan context.Context, 16), proceed: make(chan error)}
}

// dial is for DialContext.
func (g *gate) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	g.began <- ctx
	if err := <-g.proceed; err != nil {
		return nil, err
	}
	return new(net.Dialer).DialContext(ctx, network, addr)
}

func (g *gate) setting(tr *http.Transport) { tr.DialContext = g.dial }

// An arrival is what became of a request in another goroutine.
type arrival struct {
	reused bool
	err    error
}

// async sends a GET in a goroutine of its own.
func (s *story) async(ctx context.Context, path string) <-chan arrival {
	done := make(chan arrival, 1)
	req := s.request(http.MethodGet, path, nil)
	var o arrival
	req = req.WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(i httptrace.GotConnInfo) { o.reused = i.Reused },
	}))
	go func() {
		resp, err := s.rt.RoundTrip(req)
		if err == nil {
			_ = resp.Body.Close()
		}
		o.err = err
		done <- o
	}()
	return done
}

type dialKey struct{}

// A dial has the values of the request that asked for it, and goes on when that is cancelled: its connection serves the next one.
// With DisableKeepAlives there is no next one: the dial is cancelled, and what it brings is closed.
func TestDialOutlivesItsRequest(t *testing.T) {
	for _, keep := range []bool{true, false} {
		g := newGate()
		everywhere(t, echo, func(s *story) {
			mine := errors.New("mine")
			ctx, cancel := context.WithCancelCause(context.WithValue(s.Context(), dialKey{}, "value"))
			first := s.async(ctx, "/")
			dialCtx := <-g.began
			assert.Equal(s, "value", dialCtx.Value(dialKey{}))
			cancel(mine)
			assert.Equal(s, mine, (<-first).err)
			if keep {
				assert.NoError(s, dialCtx.Err())
			}
			g.proceed <- nil
			if s.ours != nil && !keep {
				s.eventually("closed", func() bool { st := s.ours.Stats(); return st.Dialing+st.Open == 0 })
			}
			if s.ours != nil && keep {
				s.eventually("pooled", func() bool { return s.ours.Stats().Idle == 1 })
				assert.NoError(s, (<-s.async(s.Context(), "/")).err)
				assert.Empty(s, g.began)
			}
		}, g.setting, func(tr *http.Transport) { tr.DisableKeepAlives = !keep })
	}
}

// Request.Cancel and CancelRequest end a request that waits for its dial.
func TestLegacyCancellationInDial(t *testing.T) {
	g := newGate()
	everywhere(t, echo, func(s *story) {
		for _, byChannel := range []bool{true, false} {
			req := s.request(http.MethodGet, "/", nil)
			ch := make(chan struct{})
			if byChannel {
				req.Cancel = ch
			}
			done := make(chan error, 1)
			go func() {
				_, err := s.rt.RoundTrip(req)
				done <- err
			}()
			<-g.began
			if byChannel {
				close(ch)
			} else {
				s.rt.CancelRequest(req)
			}
			assert.ErrorContains(s, <-done, "request canceled")
			g.proceed <- errors.New("nobody wants it")
			if s.ours != nil { // or the next request would take the dial over
				s.eventually("the dial has ended", func() bool { return s.ours.Stats().Dialing == 0 })
			}
		}
	}, g.setting)
}

// A waiting request takes whichever comes first, a connection that is released or the end of its dial.
func TestReleasedConnectionBeatsASlowDial(t *testing.T) {
	g := newGate()
	release := make(chan struct{})
	handler := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			<-release
		}
	}
	everywhere1(t, handler, func(s *story) {
		first := s.async(s.Context(), "/slow")
		<-g.began
		g.proceed <- nil
		second := s.async(s.Context(), "/")
		<-g.began
		release <- struct{}{}
		require.NoError(s, (<-first).err)
		got := <-second
		require.NoError(s, got.err)
		assert.True(s, got.reused)
		g.proceed <- errors.New("too late to matter")
	}, g.setting)
}

// A dial's error is the request's, by identity where the dialer is the caller's; the next request dials again, and the slot under
// MaxConnsPerHost is free.
func TestDialErrors(t *testing.T) {
	mine := errors.New("mine")
	g := newGate()
	everywhere1(t, echo, func(s *story) { // over HTTP/2 the two may share one dial
		for range 2 {
			first, second := s.async(s.Context(), "/"), s.async(s.Context(), "/")
			for range 2 {
				<-g.began
				g.proceed <- mine
			}
			assert.Equal(s, mine, (<-first).err)
			assert.Equal(s, mine, (<-second).err)
		}
		last := s.async(s.Context(), "/")
		<-g.began
		g.proceed <- nil
		assert.NoError(s, (<-last).err)
	}, g.setting, func(tr *http.Transport) { tr.MaxConnsPerHost = 1 })
}

// A dialer that returns neither a connection nor an error, and one that is refused, are told; nothing panics.
func TestDialersThatFail(t *testing.T) {
	everywhere(t, echo, func(s *story) {
		_, err := s.rt.RoundTrip(s.request(http.MethodGet, "/", nil))
		assert.Error(s, err)
	}, func(tr *http.Transport) {
		tr.DialContext = func(context.Context, string, string) (net.Conn, error) { return nil, nil }
	})
	everywhere(t, echo, func(s *story) {
		req := s.request(http.MethodGet, "/", nil)
		req.URL.Host = "127.0.0.1:1"
		_, err := s.rt.RoundTrip(req)
		var oe *net.OpError
		require.ErrorAs(s, err, &oe)
		assert.Equal(s, "dial", oe.Op)
		assert.Equal(s, "127.0.0.1:1", oe.Addr.String())
	}, func(tr *http.Transport) { tr.DialContext = nil })
}

// A nil pointer to a connection is a dialer's mistake that net/http dies of.
func TestDialersOfNilPointers(t *testing.T) {
	type wrapper struct{ net.Conn }
	for name, nc := range map[string]net.Conn{
		"TCP": (*net.TCPConn)(nil), "TLS": (*tls.Conn)(nil), "wrapper": (*wrapper)(nil),
	} {
		t.Run(name, func(t *testing.T) {
			dial := func(context.Context, string, string) (net.Conn, error) { return nc, nil }
			tr := &transport.Transport{DialContext: dial, DialTLSContext: dial}
			defer func() { assert.NoError(t, tr.Close()) }()
			for _, url := range []string{"http://origin.example", "https://origin.example"} {
				_, _, err := do(t, tr, http.MethodGet, url, "", nil)
				assert.ErrorContains(t, err, fmt.Sprintf("the dialer returned a nil %T", nc))
			}
			assert.Zero(t, tr.Stats().Open)
		})
	}
}

// Dial is used where DialContext is nil, and only there.
func TestDialFields(t *testing.T) {
	never := func(string, string) (net.Conn, error) { return nil, errors.New("not this one") }
	everywhere(t, echo, func(s *story) {
		assert.Equal(s, "GET ", s.read(s.get("/")))
	}, func(tr *http.Transport) { tr.Dial = never })
	everywhere(t, echo, func(s *story) {
		assert.Equal(s, "GET ", s.read(s.get("/")))
	}, func(tr *http.Transport) { tr.Dial, tr.DialContext = net.Dial, nil })
}

// A context that has ended is its own error, whether or not Request.Cancel has ended as well, and nobody dials.
func TestEndedContextDialsNothing(t *testing.T) {
	everywhere(t, echo, func(s *story) {
		mine := errors.New("mine")
		ctx, cancel := context.WithCancelCause(s.Context())
		cancel(mine)
		req := s.request(http.MethodGet, "/", nil).WithContext(ctx)
		_, err := s.rt.RoundTrip(req)
		assert.Equal(s, mine, err)
		cancelled := make(chan struct{})
		close(cancelled)
		req.Cancel = cancelled
		_, err = s.rt.RoundTrip(req)
		assert.Equal(s, mine, err)
		s.wantDials(0)
	})
}

// The resolver and the dialer of the net package report to the request's trace: with the name, the addresses, and the end.
func TestDialIsTraced(t *testing.T) {
	everywhere(t, echo, func(s *story) {
		var r recorder
		trace := &httptrace.ClientTrace{
			GetConn:           func(addr string) { r.note("GetConn %s", addr) },
			DNSStart:          func(i httptrace.DNSStartInfo) { r.note("DNSStart %s", i.Host) },
			DNSDone:           func(i httptrace.DNSDoneInfo) { r.note("DNSDone %v %v", len(i.Addrs) > 0, i.Err) },
			ConnectStart:      func(network, addr string) { r.note("ConnectStart %s", network) },
			ConnectDone:       func(network, addr string, err error) { r.note("ConnectDone %s %s", network, addr) },
			TLSHandshakeStart: func() { r.note("TLSHandshakeStart") },
			GotConn:           func(httptrace.GotConnInfo) { r.note("GotConn") },
		}
		req := s.request(http.MethodGet, "/", nil)
		addr := s.server.Listener.Addr().String()
		req.URL.Host = strings.Replace(addr, "127.0.0.1", "localhost", 1)
		s.read(s.send(req.WithContext(httptrace.WithClientTrace(req.Context(), trace))))
		events := r.list()
		assert.Equal(s, "GetConn "+req.URL.Host, events[0])
		assert.Equal(s, []string{"DNSStart localhost", "DNSDone true <nil>"}, events[1:3])
		assert.Contains(s, events, "ConnectDone tcp "+addr)
		assert.Equal(s, "GotConn", events[len(events)-1])
	}, func(tr *http.Transport) {
		tr.DialContext = nil
		if tr.TLSClientConfig != nil {
			tr.TLSClientConfig.ServerName = "example.com"
		}
	})
}

// Connections without a descriptor or an address work.
func TestConnectionsWithoutDescriptor(t *testing.T) {
	everywhere(t, echo, func(s *story) {
		for range 3 {
			assert.Equal(s, "GET ", s.read(s.get("/")))
		}
	}, func(tr *http.Transport) {
		plain := tr.DialContext
		tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			nc, err := plain(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return bare{nc}, nil
		}
	})
}

// A bare connection has nothing but what net.Conn asks for, and no addresses.
type bare struct{ nc net.Conn }

func (b bare) Read(p []byte) (int, error)         { return b.nc.Read(p) }
func (b bare) Write(p []byte) (int, error)        { return b.nc.Write(p) }
func (b bare) Close() error                       { return b.nc.Close() }
func (b bare) LocalAddr() net.Addr                { return nil }
func (b bare) RemoteAddr() net.Addr               { return nil }
func (b bare) SetDeadline(t time.Time) error      { return b.nc.SetDeadline(t) }
func (b bare) SetReadDeadline(t time.Time) error  { return b.nc.SetReadDeadline(t) }
func (b bare) SetWriteDeadline(t time.Time) error { return b.nc.SetWriteDeadline(t) }
