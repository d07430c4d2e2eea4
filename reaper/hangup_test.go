//go:build linux || darwin || dragonfly || freebsd || netbsd || openbsd

package reaper_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/reaper"
)

// A hang-up is reported once, whether it comes after Watch or came before, and Err knows it first.
func TestHangup(t *testing.T) {
	for name, tt := range map[string]struct {
		end  func(testing.TB, *net.TCPConn)
		want error
	}{
		"FIN":        {func(t testing.TB, s *net.TCPConn) { require.NoError(t, s.Close()) }, reaper.ErrHangup},
		"half-close": {func(t testing.TB, s *net.TCPConn) { require.NoError(t, s.CloseWrite()) }, reaper.ErrHangup},
		"RST":        {reset, reaper.ErrReset},
		"bytes, then FIN": {func(t testing.TB, s *net.TCPConn) {
			send(t, s, "hello")
			require.NoError(t, s.Close())
		}, reaper.ErrHangup},
		"bytes, then RST": {func(t testing.TB, s *net.TCPConn) {
			send(t, s, "hello")
			reset(t, s)
		}, reaper.ErrReset},
	} {
		t.Run(name+" after Watch", func(t *testing.T) {
			var r reaper.Reaper
			c, s := pair(t)
			w, called := watch(t, &r, c)
			assert.NoError(t, w.Err())
			tt.end(t, s)
			assert.Equal(t, tt.want, wait(t, called))
			assert.Equal(t, tt.want, w.Err())
		})
		t.Run(name+" before Watch", func(t *testing.T) {
			var r reaper.Reaper
			c, s := pair(t)
			tt.end(t, s)
			require.Eventually(t, func() bool { return probeEnd(c) }, patience, tick)
			w, called := watch(t, &r, c)
			wait(t, called)
			assert.Error(t, w.Err())
		})
	}
}

// An owner that exits the reaper's goroutine, as t.FailNow does, keeps no other from being told, be it of a hang-up that came at the same
// time or of a later one.
func TestOwnersThatExit(t *testing.T) {
	var r reaper.Reaper
	const n = 10
	told := make(chan int, 2*n)
	var servers []net.Conn
	first := make(chan struct{})
	for i := range 2 * n {
		c, s := pair(t)
		servers = append(servers, s)
		w, err := begin(t, &r, c, func(error) {
			told <- i
			if i == 0 {
				<-first // so that others come together
			}
			runtime.Goexit()
		})
		require.NoError(t, err)
		defer w.Stop()
	}
	want := map[int]bool{}
	for i, s := range servers {
		if i == n {
			close(first)
			for range n {
				want[wait(t, told)] = true
			}
		}
		require.NoError(t, s.Close())
	}
	for range n {
		want[wait(t, told)] = true
	}
	assert.Len(t, want, 2*n)
}

// probeEnd reports whether something has arrived at c.
func probeEnd(c net.Conn) bool { return reaper.Probe(c) != nil }

// A reset after a FIN is not reported again, and does not change what Err says.
func TestFirstHangupStays(t *testing.T) {
	var r reaper.Reaper
	c, s := pair(t)
	w, called := watch(t, &r, c)
	require.NoError(t, s.CloseWrite())
	assert.Equal(t, reaper.ErrHangup, wait(t, called))
	reset(t, s)
	require.Eventually(t, func() bool {
		_, err := c.Write([]byte("x"))
		return err != nil
	}, patience, tick)
	settle(t, &r)
	assert.Empty(t, called)
	assert.Equal(t, reaper.ErrHangup, w.Err())
}

// Bytes and a half-close of our own are no hang-up; the peer's FIN after them is, though both directions are shut by
// then.
func TestNoFalseHangup(t *testing.T) {
	var r reaper.Reaper
	c, s := pair(t)
	w, called := watch(t, &r, c)
	send(t, s, "hello")
	require.NoError(t, c.CloseWrite())
	_, err := io.ReadAll(s) // until the FIN has arrived
	require.NoError(t, err)
	settle(t, &r)
	assert.NoError(t, w.Err())
	assert.Empty(t, called)

	require.NoError(t, s.CloseWrite())
	assert.Equal(t, reaper.ErrHangup, wait(t, called))
}

// Our own Close is no hang-up, not even if the peer answers it with a FIN while a duplicate of the descriptor keeps the
// kernel's registration.
func TestOwnClose(t *testing.T) {
	var r reaper.Reaper
	_, keep := watchedPair(t, &r)
	c, s := pair(t)
	w, called := watch(t, &r, c)
	dup, err := c.File()
	require.NoError(t, err)
	defer dup.Close()
	require.NoError(t, c.Close())
	w.Stop()
	require.NoError(t, s.Close())
	settle(t, &r)
	assert.NoError(t, w.Err())
	assert.Empty(t, called)
	assert.Empty(t, keep)
}

// watchedPair returns the peer of a connection that r watches, and what is called back.
func watchedPair(t testing.TB, r *reaper.Reaper) (peer *net.TCPConn, called <-chan error) {
	t.Helper()
	c, s := pair(t)
	_, called = watch(t, r, c)
	return s, called
}

// Unix sockets are watched and probed like others; a close with unread bytes is their reset.
func TestUnixSocket(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	require.NoError(t, err)
	defer l.Close()
	for _, want := range []error{reaper.ErrHangup, reaper.ErrReset} {
		var r reaper.Reaper
		c, err := net.Dial("unix", l.Addr().String())
		require.NoError(t, err)
		defer c.Close()
		s, err := l.Accept()
		require.NoError(t, err)
		defer s.Close()
		if want == reaper.ErrReset {
			send(t, c, "unread")
		}
		_, called := watch(t, &r, c)
		assert.NoError(t, reaper.Probe(c))
		require.NoError(t, s.Close())
		assert.ErrorIs(t, wait(t, called), want)
		assert.ErrorIs(t, reaper.Probe(c), want)
	}
}

// A connection is looked through if it tells what it wraps.
func TestWrappedConnection(t *testing.T) {
	var r reaper.Reaper
	c, s := pair(t)
	wrapped := tls.Client(c, &tls.Config{})
	_, called := watch(t, &r, wrapped)
	assert.NoError(t, reaper.Probe(wrapped))
	require.NoError(t, s.Close())
	assert.ErrorIs(t, wait(t, called), reaper.ErrHangup)
	assert.ErrorIs(t, reaper.Probe(wrapped), reaper.ErrHangup)
}

// selfWrapped claims to wrap itself.
type selfWrapped struct{ net.Conn }

func (s selfWrapped) NetConn() net.Conn { return s }

// Without a descriptor there is no watch and no probe, and nothing is left running.
func TestNoDescriptor(t *testing.T) {
	var r reaper.Reaper
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	for name, c := range map[string]net.Conn{
		"pipe":                a,
		"TLS over a pipe":     tls.Client(a, &tls.Config{}),
		"wraps itself":        selfWrapped{a},
		"no connection":       nil,
		"wraps no connection": selfWrapped{},
	} {
		_, err := begin(t, &r, c, nil)
		assert.ErrorIs(t, err, errors.ErrUnsupported, name)
		assert.ErrorIs(t, reaper.Probe(c), errors.ErrUnsupported, name)
	}
	wantGoroutines(t, 0)
}
