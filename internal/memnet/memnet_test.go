package memnet_test

import (
	"io"
	"net"
	"net/http"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/net/nettest"

	"github.com/watertight-go/watertight/internal/memnet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// connect returns both ends of a connection.
func connect(t *testing.T, n *memnet.Network) (client, server *memnet.Conn) {
	l, err := n.Listen("a.example:80")
	require.NoError(t, err)
	defer l.Close()
	c, err := n.DialContext(t.Context(), "tcp", "a.example:80")
	require.NoError(t, err)
	s, err := l.Accept()
	require.NoError(t, err)
	return c.(*memnet.Conn), s.(*memnet.Conn)
}

// It behaves as the rules for net.Conn say.
func TestConformance(t *testing.T) {
	nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
		a, b := connect(t, new(memnet.Network))
		return a, b, func() { _ = a.Close(); _ = b.Close() }, nil
	})
}

// A half-closed connection is read to its end and written from the other one; a reset loses what was under way.
func TestEnds(t *testing.T) {
	var n memnet.Network
	c, s := connect(t, &n)
	_, err := c.Write([]byte("hello"))
	require.NoError(t, err)
	require.NoError(t, c.CloseWrite())
	got, err := io.ReadAll(s)
	require.NoError(t, err)
	assert.Equal(t, "hello", string(got))
	_, err = s.Write([]byte("there"))
	require.NoError(t, err)
	_, err = io.ReadFull(c, make([]byte, 5))
	require.NoError(t, err)
	_, err = s.Write([]byte("lost"))
	require.NoError(t, err)
	s.Reset()
	_, err = c.Read(make([]byte, 1))
	assert.ErrorIs(t, err, syscall.ECONNRESET)
	assert.Equal(t, 1, n.Open())
	require.NoError(t, c.Close())
	assert.Zero(t, n.Open())
	_, err = n.DialContext(t.Context(), "tcp", "nobody.example:80")
	assert.ErrorIs(t, err, syscall.ECONNREFUSED)
}

// Deadlines keep the bubble's time, and a client and a server of net/http talk over it.
func TestInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n memnet.Network
		c, s := connect(t, &n)
		began := time.Now()
		require.NoError(t, c.SetReadDeadline(began.Add(time.Hour)))
		_, err := c.Read(make([]byte, 1))
		assert.ErrorIs(t, err, os.ErrDeadlineExceeded)
		assert.Equal(t, time.Hour, time.Since(began))
		require.NoError(t, c.Close())
		require.NoError(t, s.Close())

		l, err := n.Listen("b.example:80")
		require.NoError(t, err)
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(time.Minute)
			_, _ = w.Write(make([]byte, 1<<20))
		})}
		go func() { _ = server.Serve(l) }()
		tr := &http.Transport{DialContext: n.DialContext}
		resp, err := (&http.Client{Transport: tr}).Get("http://b.example/")
		require.NoError(t, err)
		got, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		assert.Len(t, got, 1<<20)
		tr.CloseIdleConnections()
		require.NoError(t, server.Close())
		synctest.Wait()
		assert.Zero(t, n.Open())
	})
}
