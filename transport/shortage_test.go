//go:build unix

package transport_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/internal/memnet"
	"github.com/watertight-go/watertight/transport"
)

// A shortage is a dialer that has descriptors for so many connections at a time, and an error for what is more.
type shortage struct {
	free  atomic.Int64
	err   error
	lasts time.Duration // a Close
}

// A scarce connection takes one descriptor of a shortage.
type scarce struct {
	net.Conn
	*shortage
}

func (c *scarce) Close() error {
	time.Sleep(c.lasts)
	c.free.Add(1)
	return c.Conn.Close()
}

func (s *shortage) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if s.free.Add(-1) < 0 {
		s.free.Add(1)
		return nil, s.err
	}
	nc, err := new(net.Dialer).DialContext(ctx, network, addr)
	return &scarce{nc, s}, err
}

// Whichever field dials, and whoever has too few descriptors, the process, the system or the lookup of a name: idle connections make
// room while there are any. Then the error says what is short, and the next request is served when a body is closed.
func TestShortageWhoeverDials(t *testing.T) {
	type dialer = func(context.Context, string, string) (net.Conn, error)
	fields := map[string]func(*http.Transport, dialer){
		"DialContext":    func(tr *http.Transport, dial dialer) { tr.DialContext = dial },
		"Dial":           func(tr *http.Transport, dial dialer) { tr.DialContext, tr.Dial = nil, without(dial) },
		"DialTLSContext": func(tr *http.Transport, dial dialer) { tr.DialTLSContext = dial },
		"DialTLS":        func(tr *http.Transport, dial dialer) { tr.DialTLS = without(dial) },
	}
	for name, err := range map[string]error{
		"process": &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("socket", syscall.EMFILE)},
		"system":  &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("socket", syscall.ENFILE)},
		"lookup":  &net.DNSError{Err: "dial udp 192.0.2.1:53: socket: " + syscall.EMFILE.Error(), Name: "a.example"},
	} {
		for field, set := range fields {
			t.Run(name+" "+field, func(t *testing.T) {
				few := &shortage{err: err}
				few.free.Store(8)
				var s *story
				s = newStory(t, sized, false, false, func(tr *http.Transport) {
					set(tr, func(ctx context.Context, network, _ string) (net.Conn, error) {
						return few.dial(ctx, network, s.server.Listener.Addr().String())
					})
				})
				s.outlast(err, strings.HasPrefix(field, "DialTLS"))
			})
		}
	}
}

// outlast visits more hosts than there are descriptors, and then holds all of them.
func (s *story) outlast(shortage error, https bool) {
	visit := func(host int, path string) (*http.Response, error) {
		req := s.request(http.MethodGet, path, nil)
		req.URL.Host = fmt.Sprintf("host%d.example", host)
		if https {
			req.URL.Scheme = "https"
		}
		return s.rt.RoundTrip(req)
	}
	for i := range 50 {
		resp, err := visit(i, "/10")
		require.NoError(s, err)
		require.NoError(s, resp.Body.Close())
	}
	var open []*http.Response
	for i := range 8 {
		resp, err := visit(i, "/1000000")
		require.NoError(s, err)
		open = append(open, resp)
	}
	_, err := visit(8, "/10")
	assert.ErrorIs(s, err, shortage)
	assert.ErrorContains(s, err, "transport: dialing host8.example:")
	assert.ErrorContains(s, err, "raise the limit of open files")
	assert.Equal(s, 8, s.ours.Stats().Leased)
	assert.Len(s, s.read(open[0]), 1000000)
	resp, err := visit(8, "/10")
	require.NoError(s, err)
	s.read(resp)
	for _, resp := range open[1:] {
		assert.Len(s, s.read(resp), 1000000)
	}
}

// A dial that is short of descriptors waits for the connections of dropped bodies to be closed, which takes a moment.
func TestShortageWaitsForDroppedBodies(t *testing.T) {
	few := &shortage{err: syscall.EMFILE, lasts: 20 * time.Millisecond}
	var s *story
	s = newStory(t, sized, false, false, func(tr *http.Transport) {
		tr.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return few.dial(ctx, network, s.server.Listener.Addr().String())
		}
	})
	withoutCollections(t)
	leaks := s.leaks()
	few.free.Store(3)
	for i := range 3 {
		_, err := s.rt.RoundTrip(httptest.NewRequest(http.MethodGet, fmt.Sprintf("http://host%d.example/1000000", i), nil))
		require.NoError(t, err)
	}
	s.eventually("unread for so long that they are suspected", func() bool {
		open := s.ours.OpenBodies()
		return open[len(open)-1].Age >= time.Second
	})
	resp, err := s.rt.RoundTrip(httptest.NewRequest(http.MethodGet, "http://another.example/10", nil))
	require.NoError(t, err)
	s.read(resp)
	s.eventually("all are reported", func() bool { return len(leaks()) == 3 })
}

// It is so with bodies that were forgotten.
func TestShortageWaitsForForgottenBodies(t *testing.T) {
	bubble(t, sized, func(t *testing.T, _ *memnet.Network, _ *http.Server, tr *transport.Transport) {
		few, dial := &shortage{err: syscall.EMFILE, lasts: 20 * time.Millisecond}, tr.DialContext
		few.free.Store(1)
		tr.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
			if few.free.Add(-1) < 0 {
				few.free.Add(1)
				return nil, few.err
			}
			nc, err := dial(ctx, network, "a.example:80")
			return &scarce{nc, few}, err
		}
		forgotten := mustGet(t, tr, "http://a.example/1000000")
		time.Sleep(10 * time.Minute)
		assert.Len(t, fetch(t, tr, "/10"), 10)
		_, err := forgotten.Body.Read(make([]byte, 1))
		assert.ErrorIs(t, err, http.ErrBodyReadAfterClose)
	})
}

func without(dial func(context.Context, string, string) (net.Conn, error)) func(string, string) (net.Conn, error) {
	return func(network, addr string) (net.Conn, error) { return dial(context.Background(), network, addr) }
}

// An idle connection whose Close hangs keeps a dial that gives it up for a second, and not for as long as that hangs.
func TestAShortageBesideACloseThatHangs(t *testing.T) {
	bubble(t, sized, func(t *testing.T, _ *memnet.Network, _ *http.Server, tr *transport.Transport) {
		closing, letGo := make(chan struct{}, 1), make(chan struct{})
		var short atomic.Bool
		dial := tr.DialContext
		tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if short.Load() {
				return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("socket", syscall.EMFILE)}
			}
			nc, err := dial(ctx, network, addr)
			return &sticky{nc, closing, letGo}, err
		}
		fetch(t, tr, "/10")
		short.Store(true)
		began := time.Now()
		_, err := tr.RoundTrip(httptest.NewRequest(http.MethodGet, "http://other.example/", nil))
		assert.ErrorIs(t, err, syscall.EMFILE)
		assert.Equal(t, time.Second, time.Since(began))
		close(letGo)
	})
}
