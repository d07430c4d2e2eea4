//go:build linux

package transport_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
	"weak"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/transport"
)

// A transport is ended many times at once while requests are in every state: those that wait and those that come get ErrClosed or
// their answer, Close waits for no body, Shutdown for each, and then nothing is left.
func TestManyEndsAtOnce(t *testing.T) {
	ours(t, sized, func(s *story) {
		open := s.get("/1000000")
		s.read(s.get("/10"))
		var requests, closes, shutdowns sync.WaitGroup
		for range 8 {
			requests.Go(func() {
				for {
					resp, err := s.rt.RoundTrip(s.request(http.MethodGet, "/10", nil))
					if err != nil {
						assert.ErrorIs(s, err, transport.ErrClosed)
						return
					}
					assert.NoError(s, resp.Body.Close())
				}
			})
		}
		enough := errors.New("enough")
		ended, end := context.WithCancelCause(s.Context())
		end(enough)
		for range 3 {
			closes.Go(func() { assert.NoError(s, s.ours.Close()) })
			closes.Go(func() { assert.Equal(s, enough, s.ours.Shutdown(ended)) })
			closes.Go(s.ours.CloseIdleConnections)
			shutdowns.Go(func() {
				assert.NoError(s, s.ours.Shutdown(s.Context()))
				assert.Zero(s, s.ours.Stats().Open)
			})
		}
		closes.Wait()
		requests.Wait()
		s.eventually("the body's connection is left", func() bool { return s.ours.Stats().Open == 1 })
		assert.Len(s, s.read(open), 1000000)
		shutdowns.Wait()
		assert.NoError(s, s.ours.Close())
		_, err := s.rt.RoundTrip(s.request(http.MethodGet, "/10", nil))
		assert.ErrorIs(s, err, transport.ErrClosed)
	}, func(tr *http.Transport) { tr.MaxConnsPerHost = 4 })
}

// A transport that was never used ends as well, and stays closed.
func TestEndOfAnUnusedTransport(t *testing.T) {
	var tr transport.Transport
	require.NoError(t, tr.Shutdown(t.Context()))
	require.NoError(t, tr.Close())
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://a.example/", nil)
	require.NoError(t, err)
	_, err = tr.RoundTrip(req)
	assert.ErrorIs(t, err, transport.ErrClosed)
}

// Shutdown neither waits for a connection that an upgrade made its caller's nor disturbs it.
func TestShutdownLeavesUpgrades(t *testing.T) {
	ours1(t, upgradeEcho, func(s *story) {
		req := s.request(http.MethodGet, "/", nil)
		req.Header.Set("Connection", "Upgrade")
		req.Header.Set("Upgrade", "echo")
		body := s.send(req).Body.(io.ReadWriteCloser)
		require.NoError(s, s.ours.Shutdown(s.Context()))
		_, err := io.WriteString(body, "hello")
		require.NoError(s, err)
		got := make([]byte, 5)
		_, err = io.ReadFull(body, got)
		require.NoError(s, err)
		assert.Equal(s, "hello", string(got))
		require.NoError(s, body.Close())
		s.wantNoSockets()
	})
}

// A transport that is dropped without Close takes its sockets and goroutines with it: the one that watches sockets, or one for each
// connection that cannot be watched.
func TestDroppedTransportLeavesNoGoroutine(t *testing.T) {
	for name, wrap := range map[string]func(net.Conn) net.Conn{
		"watched":      func(nc net.Conn) net.Conn { return nc },
		"not watched":  func(nc net.Conn) net.Conn { return bare{nc} },
		"no deadlines": func(nc net.Conn) net.Conn { return untimed{bare{nc}} },
	} {
		t.Run(name, func(t *testing.T) {
			ours1(t, sized, func(s *story) {
				before := goroutinesOfOurs()
				tr := s.ours.Clone()
				dial := tr.DialContext
				tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
					nc, err := dial(ctx, network, addr)
					return wrap(nc), err
				}
				for _, path := range []string{"/10", "/100000"} {
					assert.NotEmpty(s, s.read(mustGet(s.T, tr, s.server.URL+path)))
				}
				s.eventually("idle", func() bool { return tr.Stats().Idle == 1 && goroutinesOfOurs() > before })
				runtime.KeepAlive(tr)
				s.eventuallyCollected("no goroutine", func() bool { return goroutinesOfOurs() <= before })
				s.wantNoSockets()
			})
		})
	}
}

// What a Transport's fields refer to is collected once the Transport was closed, also if that is itself among it, or dropped. A body that was
// open, and might have been forgotten, does not keep it any longer.
func TestWhatATransportHeldIsCollected(t *testing.T) {
	shutdown := func(tr *transport.Transport) error { return tr.Shutdown(context.Background()) }
	dropped := func(*transport.Transport) error { return nil }
	type end struct {
		end func(*transport.Transport) error
		own bool // the dialer refers to the Transport
	}
	ends := map[string]end{
		"closed": {(*transport.Transport).Close, false}, "closed, its own": {(*transport.Transport).Close, true},
		"shut down, its own": {shutdown, true}, "dropped": {dropped, false},
	}
	ours(t, sized, func(s *story) {
		use := func(e end) weak.Pointer[[1000]byte] {
			p, tr := new([1000]byte), s.ours.Clone()
			tr.LeakTimeout, tr.ResponseHeaderTimeout = time.Hour, time.Hour
			var own *transport.Transport
			if e.own {
				own = tr
			}
			dial := tr.DialContext
			tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				p[0]++
				runtime.KeepAlive(own)
				return dial(ctx, network, addr)
			}
			setTimers(s.T)
			s.read(mustGet(s.T, tr, s.server.URL+"/200000"))
			for range 10 { // the response to some comes after the request was written, and is waited for with a timer
				resp, err := tr.RoundTrip(s.request(http.MethodPost, "/10", io.MultiReader(strings.NewReader("streamed"))))
				require.NoError(s, err)
				s.read(resp)
			}
			setTimers(s.T) // among which the runtime keeps those that are stopped now
			require.NoError(s, e.end(tr))
			return weak.Make(p)
		}
		held := map[string]weak.Pointer[[1000]byte]{}
		for name, e := range ends {
			held[name] = use(e)
		}
		for name, p := range held {
			// No timer of this test's is to fire meanwhile: for that the runtime may look through the others.
			for begun := time.Now(); p.Value() != nil && time.Since(begun) < 20*time.Second; {
				runtime.GC()
			}
			assert.True(s, p.Value() == nil, name)
		}
	})
}

// setTimers sets some timers for the rest of the test.
func setTimers(t testing.TB) {
	for range 100 {
		timer := time.AfterFunc(time.Hour, func() {})
		t.Cleanup(func() { timer.Stop() })
	}
}

// goroutinesOfOurs returns how many goroutines the packages have begun.
func goroutinesOfOurs() (n int) {
	all := make([]byte, 1<<20)
	all = all[:runtime.Stack(all, true)]
	for _, name := range []string{"transport", "pool", "reaper", "internal/http1"} {
		n += bytes.Count(all, []byte("created by github.com/watertight-go/watertight/"+name+"."))
	}
	return n
}
