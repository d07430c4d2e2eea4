//go:build unix

package transport

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// wired returns a socket, and the server's side of its connection.
func wired(t *testing.T) (*socket, *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	nc, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	server, err := l.Accept()
	require.NoError(t, err)
	s := newSocket(nc)
	t.Cleanup(func() { _, _ = s.Close(), server.Close() })
	return s, server.(*net.TCPConn)
}

// answer waits for a request of n bytes, and answers.
func answer(t *testing.T, server net.Conn, n int, response string) {
	_, err := io.ReadFull(server, make([]byte, n))
	assert.NoError(t, err)
	_, err = io.WriteString(server, response)
	assert.NoError(t, err)
}

// A request is written, and what comes then is read, perhaps into the same memory.
func TestSend(t *testing.T) {
	s, server := wired(t)
	for range 3 {
		buf := append(make([]byte, 0, 64), "request"...)
		go answer(t, server, len("request"), "response")
		wrote, n, err := s.Send(buf, buf[:cap(buf)])
		require.NoError(t, err)
		assert.Equal(t, len("request"), wrote)
		assert.Equal(t, "response", string(buf[:n]))
	}
}

// Where something has arrived nothing is written: bytes, a FIN, a reset. Errors look like those of a Read.
func TestSendLooksFirst(t *testing.T) {
	for name, arrives := range map[string]struct {
		act  func(*net.TCPConn) error
		n    int
		want error
	}{
		"bytes": {func(c *net.TCPConn) error { _, err := io.WriteString(c, "HTTP"); return err }, 4, nil},
		"FIN":   {func(c *net.TCPConn) error { return c.CloseWrite() }, 0, io.EOF},
		"reset": {func(c *net.TCPConn) error { return errors.Join(c.SetLinger(0), c.Close()) }, 0, syscall.ECONNRESET},
	} {
		t.Run(name, func(t *testing.T) {
			s, server := wired(t)
			require.NoError(t, arrives.act(server))
			if name == "bytes" || name == "FIN" {
				require.NoError(t, s.awaitInput())
			} else {
				require.Eventually(t, func() bool { return resetArrived(s) }, 5*time.Second, time.Millisecond)
			}
			wrote, n, err := s.Send([]byte("request"), make([]byte, 64))
			assert.Zero(t, wrote)
			assert.Equal(t, arrives.n, n)
			assert.ErrorIs(t, err, arrives.want)
			var op *net.OpError
			assert.Equal(t, name == "reset", errors.As(err, &op) && op.Op == "read" && op.Addr != nil, err)
			if name == "FIN" {
				require.NoError(t, server.SetReadDeadline(time.Now().Add(20*time.Millisecond)))
				_, err = server.Read(make([]byte, 1))
				assert.ErrorIs(t, err, os.ErrDeadlineExceeded, "something was written")
			}
		})
	}
}

// resetArrived reports whether the kernel knows of the peer's reset, which it tells only once: a connection that was reset has no peer.
func resetArrived(s *socket) (gone bool) {
	_ = s.raw.Control(func(fd uintptr) {
		_, err := syscall.Getpeername(int(fd))
		gone = errors.Is(err, syscall.ENOTCONN)
	})
	return gone
}

// What cannot be written at once is left to the caller: Send does not wait for a peer that does not read.
func TestSendWhereThereIsNoRoom(t *testing.T) {
	s, server := wired(t)
	p := make([]byte, 64<<20)
	wrote, n, err := s.Send(p, make([]byte, 64))
	require.NoError(t, err)
	assert.Zero(t, n)
	assert.Less(t, wrote, len(p))
	again, n, err := s.Send(p, make([]byte, 64))
	require.NoError(t, err)
	assert.Zero(t, n)
	for again > 0 { // the kernel may have found some room
		wrote += again
		again, _, err = s.Send(p, make([]byte, 64))
		require.NoError(t, err)
	}
	got := make(chan int64)
	go func() {
		n, _ := io.Copy(io.Discard, server)
		got <- n
	}()
	require.NoError(t, s.Close())
	assert.EqualValues(t, wrote, <-got)
}

// A deadline ends the wait, and one that has passed before keeps the request from being written.
func TestSendAndDeadlines(t *testing.T) {
	s, server := wired(t)
	go func() {
		answerless := make([]byte, len("request"))
		_, _ = io.ReadFull(server, answerless)
		_ = s.SetReadDeadline(past)
	}()
	wrote, n, err := s.Send([]byte("request"), make([]byte, 64))
	assert.Equal(t, len("request"), wrote)
	assert.Zero(t, n)
	assert.ErrorIs(t, err, os.ErrDeadlineExceeded)
	var op *net.OpError
	require.ErrorAs(t, err, &op)
	assert.Equal(t, "read", op.Op)

	wrote, _, err = s.Send([]byte("request"), make([]byte, 64))
	assert.Zero(t, wrote)
	assert.ErrorIs(t, err, os.ErrDeadlineExceeded)

	require.NoError(t, s.SetReadDeadline(time.Time{}))
	require.NoError(t, s.Close())
	_, _, err = s.Send([]byte("request"), make([]byte, 64))
	assert.ErrorIs(t, err, net.ErrClosed)
}

// A FIN is never missed, whenever it comes: before the look, between that and the write, after it. The poller tells of it once only.
func TestSendBesideFIN(t *testing.T) {
	before, after := 0, 0
	for i := range 3000 {
		s, server := wired(t)
		end := func() { _ = server.CloseWrite() }
		switch i % 10 {
		case 0:
			end()
		case 1:
			go func() {
				_, _ = io.ReadFull(server, make([]byte, len("request")))
				end()
			}()
		default:
			go func() {
				for range rand.N(2000) {
					_ = server.RemoteAddr()
				}
				end()
			}()
			for range rand.N(2000) {
				_ = server.RemoteAddr()
			}
		}
		require.NoError(t, s.SetReadDeadline(time.Now().Add(10*time.Second)))
		wrote, n, err := s.Send([]byte("request"), make([]byte, 64))
		require.Equal(t, io.EOF, err)
		require.Zero(t, n)
		if wrote == 0 {
			before++
		} else {
			after++
		}
		require.NoError(t, s.Close())
		require.NoError(t, server.Close())
	}
	t.Log(before, "before the request,", after, "after")
	assert.NotZero(t, before)
	assert.NotZero(t, after)
}
