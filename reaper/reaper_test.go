//go:build linux || darwin || dragonfly || freebsd || netbsd || openbsd

package reaper_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/reaper"
)

// pair returns both ends of a loopback connection; they are closed when the test ends.
func pair(t testing.TB) (client, server *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	s, err := l.Accept()
	require.NoError(t, err)
	t.Cleanup(func() {
		_ = c.(*net.TCPConn).SetLinger(0) // no TIME_WAIT: the ports are few for so many connections
		_ = c.Close()
		_ = s.Close()
	})
	return c.(*net.TCPConn), s.(*net.TCPConn)
}

// reset makes the next Close of c send a RST.
func reset(t testing.TB, c *net.TCPConn) {
	require.NoError(t, c.SetLinger(0))
	require.NoError(t, c.Close())
}

// watch watches c and returns what is called back.
func watch(t testing.TB, r *reaper.Reaper, c net.Conn) (*reaper.Watch, <-chan error) {
	t.Helper()
	called := make(chan error, 2)
	w, err := r.Watch(c, func(err error) { called <- err })
	require.NoError(t, err)
	t.Cleanup(w.Stop)
	return w, called
}

func wait(t testing.TB, called <-chan error) error {
	t.Helper()
	select {
	case err := <-called:
		return err
	case <-time.After(10 * time.Second):
		require.FailNow(t, "no hang-up was reported")
		return nil
	}
}

func TestHangups(t *testing.T) {
	for name, tt := range map[string]struct {
		end  func(*testing.T, *net.TCPConn)
		want error
	}{
		"FIN":        {func(t *testing.T, s *net.TCPConn) { require.NoError(t, s.Close()) }, reaper.ErrHangup},
		"half-close": {func(t *testing.T, s *net.TCPConn) { require.NoError(t, s.CloseWrite()) }, reaper.ErrHangup},
		"RST":        {func(t *testing.T, s *net.TCPConn) { reset(t, s) }, reaper.ErrReset},
		"bytes, then FIN": {func(t *testing.T, s *net.TCPConn) {
			_, err := s.Write([]byte("hello"))
			require.NoError(t, err)
			require.NoError(t, s.Close())
		}, reaper.ErrHangup},
	} {
		for _, when := range []string{"after", "before"} {
			t.Run(name+" "+when+" Watch", func(t *testing.T) {
				var r reaper.Reaper
				c, s := pair(t)
				if when == "before" {
					tt.end(t, s)
				}
				w, called := watch(t, &r, c)
				if when == "after" {
					assert.NoError(t, w.Err())
					tt.end(t, s)
				}
				assert.Equal(t, tt.want, wait(t, called))
				assert.Equal(t, tt.want, w.Err())
			})
		}
	}
}

// Bytes, our own half-close and our own close are no hang-up; the peer's end after them is.
func TestNoFalseHangup(t *testing.T) {
	var r reaper.Reaper
	c, s := pair(t)
	w, called := watch(t, &r, c)
	_, err := s.Write([]byte("hello"))
	require.NoError(t, err)
	require.NoError(t, c.CloseWrite())
	_, err = io.ReadAll(s) // so the FIN has arrived
	require.NoError(t, err)
	// A second connection's hang-up is reported after whatever there was to report of the first.
	c2, s2 := pair(t)
	_, called2 := watch(t, &r, c2)
	require.NoError(t, s2.Close())
	wait(t, called2)
	assert.NoError(t, w.Err())
	assert.Empty(t, called)
	require.NoError(t, s.Close())
	assert.ErrorIs(t, wait(t, called), reaper.ErrHangup)
}

// After Stop nothing is reported, and the connection lives on.
func TestStop(t *testing.T) {
	var r reaper.Reaper
	other, otherPeer := pair(t)
	_, otherCalled := watch(t, &r, other)
	c, s := pair(t)
	w, called := watch(t, &r, c)
	w.Stop()
	w.Stop()
	_, err := s.Write([]byte("x"))
	require.NoError(t, err)
	_, err = c.Read(make([]byte, 1))
	require.NoError(t, err)
	require.NoError(t, s.Close())
	require.NoError(t, otherPeer.Close())
	wait(t, otherCalled)
	assert.Empty(t, called)
	assert.NoError(t, w.Err())
	// It can be watched anew: the registration is gone.
	_, called = watch(t, &r, c)
	assert.ErrorIs(t, wait(t, called), reaper.ErrHangup)
}

// Stop may be called from within the callback, and the reaper begins anew after its last watch.
func TestStopInCallbackAndRestart(t *testing.T) {
	var r reaper.Reaper
	for range 20 {
		c, s := pair(t)
		called := make(chan error, 1)
		watched := make(chan *reaper.Watch, 1)
		w, err := r.Watch(c, func(err error) {
			(<-watched).Stop()
			called <- err
		})
		require.NoError(t, err)
		watched <- w
		require.NoError(t, s.Close())
		assert.ErrorIs(t, wait(t, called), reaper.ErrHangup)
		require.NoError(t, c.Close())
	}
}

// A descriptor that is used again does not inherit its last connection's hang-up.
func TestDescriptorReuse(t *testing.T) {
	var r reaper.Reaper
	for range 200 {
		c, s := pair(t)
		w, called := watch(t, &r, c)
		go func() { _ = s.Close() }()
		_ = c.SetLinger(0)
		_ = c.Close()
		c2, s2 := pair(t) // most likely with the same descriptors
		w2, called2 := watch(t, &r, c2)
		w.Stop()
		_, err := s2.Write([]byte("x"))
		require.NoError(t, err)
		_, err = c2.Read(make([]byte, 1))
		require.NoError(t, err)
		require.NoError(t, w2.Err())
		require.Empty(t, called2)
		_ = called
		_ = c2.SetLinger(0)
		_ = c2.Close()
		w2.Stop()
	}
}

// Many connections that hang up at once are all reported.
func TestManyAtOnce(t *testing.T) {
	const n = 1000
	var r reaper.Reaper
	called := make(chan error, n)
	var servers []*net.TCPConn
	for range n {
		c, s := pair(t)
		w, err := r.Watch(c, func(err error) { called <- err })
		require.NoError(t, err)
		t.Cleanup(w.Stop)
		servers = append(servers, s)
	}
	for _, s := range servers {
		require.NoError(t, s.Close())
	}
	for range n {
		assert.ErrorIs(t, wait(t, called), reaper.ErrHangup)
	}
}

// A connection without a descriptor cannot be watched or probed, and a wrapper is looked through.
func TestDescriptors(t *testing.T) {
	var r reaper.Reaper
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	_, err := r.Watch(a, func(error) {})
	assert.ErrorIs(t, err, errors.ErrUnsupported)
	assert.ErrorIs(t, reaper.Probe(a), errors.ErrUnsupported)

	c, s := pair(t)
	wrapped := tls.Client(c, &tls.Config{})
	_, called := watch(t, &r, wrapped)
	assert.NoError(t, reaper.Probe(wrapped))
	require.NoError(t, s.Close())
	assert.ErrorIs(t, wait(t, called), reaper.ErrHangup)

	_ = c.Close()
	_, err = r.Watch(c, func(error) {})
	assert.Error(t, err)
}

// Probe tells bytes from a hang-up and takes nothing out.
func TestProbe(t *testing.T) {
	c, s := pair(t)
	p, err := reaper.NewProber(c)
	require.NoError(t, err)
	assert.NoError(t, p.Probe())
	_, err = s.Write([]byte("hi"))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return errors.Is(p.Probe(), reaper.ErrUnexpectedData) }, 10*time.Second, time.Millisecond)
	got := make([]byte, 2)
	_, err = io.ReadFull(c, got)
	require.NoError(t, err)
	assert.Equal(t, "hi", string(got))
	assert.NoError(t, p.Probe())
	require.NoError(t, s.CloseWrite())
	require.Eventually(t, func() bool { return errors.Is(p.Probe(), reaper.ErrHangup) }, 10*time.Second, time.Millisecond)
	require.NoError(t, c.Close())
	assert.ErrorIs(t, p.Probe(), net.ErrClosed)

	c, s = pair(t)
	reset(t, s)
	require.Eventually(t, func() bool { return errors.Is(reaper.Probe(c), reaper.ErrReset) }, 10*time.Second, time.Millisecond)
}
