//go:build linux || darwin || dragonfly || freebsd || netbsd || openbsd

package reaper_test

import (
	"bytes"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/reaper"
)

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

// tick is how often it looks.
const tick = time.Millisecond

// pair returns both ends of a loopback connection, closed when the test ends. The client's end leaves no TIME_WAIT
// behind, which would use up the ports of a machine.
func pair(t testing.TB) (client, server *net.TCPConn) {
	t.Helper()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	defer l.Close()
	client, server, err = connect(l)
	require.NoError(t, err)
	t.Cleanup(func() {
		_ = client.Close()
		_ = server.Close()
	})
	return client, server
}

// connect returns both ends of a connection through l, which nobody else uses at the time.
func connect(l *net.TCPListener) (client, server *net.TCPConn, err error) {
	client, err = net.DialTCP("tcp", nil, l.Addr().(*net.TCPAddr))
	if err != nil {
		return nil, nil, err
	}
	server, err = l.AcceptTCP()
	if err != nil {
		_ = client.Close()
		return nil, nil, err
	}
	return client, server, client.SetLinger(0)
}

// reset closes c with a RST.
func reset(t testing.TB, c *net.TCPConn) {
	t.Helper()
	require.NoError(t, c.SetLinger(0))
	require.NoError(t, c.Close())
}

func send(t testing.TB, c net.Conn, s string) {
	t.Helper()
	_, err := c.Write([]byte(s))
	require.NoError(t, err)
}

// An ownerFunc is a function that is an Owner.
type ownerFunc func(error)

func (f ownerFunc) HungUp(err error) { f(err) }

// begin watches c with a Watch of its own, and keeps r until the test ends.
func begin(t testing.TB, r *reaper.Reaper, c net.Conn, hungUp func(error)) (*reaper.Watch, error) {
	w := new(reaper.Watch)
	var owner reaper.Owner
	if hungUp != nil {
		owner = ownerFunc(hungUp)
	}
	t.Cleanup(func() { runtime.KeepAlive(r) })
	return w, r.Watch(w, c, owner)
}

// watch watches c until the test ends, and returns what is called back.
func watch(t testing.TB, r *reaper.Reaper, c net.Conn) (*reaper.Watch, <-chan error) {
	t.Helper()
	called := make(chan error, 2)
	w, err := begin(t, r, c, func(err error) { called <- err })
	require.NoError(t, err)
	t.Cleanup(w.Stop)
	return w, called
}

// wait returns the next value of ch.
func wait[T any](t testing.TB, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		require.FailNow(t, "nothing was called back")
		panic("unreachable")
	}
}

// settle returns when r has reported whatever there was to report when settle was called: the kernel keeps the order.
func settle(t testing.TB, r *reaper.Reaper) {
	t.Helper()
	c, s := pair(t)
	w, called := watch(t, r, c)
	require.NoError(t, s.Close())
	wait(t, called)
	w.Stop()
}

// goroutines returns how many goroutines of reapers there are.
func goroutines() int {
	all := make([]byte, 1<<20)
	return bytes.Count(all[:runtime.Stack(all, true)], []byte("reaper.(*core).run("))
}

// wantGoroutines waits until reapers have n goroutines.
func wantGoroutines(t testing.TB, n int) {
	t.Helper()
	require.Eventually(t, func() bool { return goroutines() == n }, patience, time.Millisecond)
}
