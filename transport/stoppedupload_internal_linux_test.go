package transport

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/internal/badserver"
)

// A meddler does something before what has arrived is taken.
type meddler struct {
	syscall.RawConn
	meddle func()
}

func (m meddler) Control(f func(uintptr)) error {
	m.meddle()
	return m.RawConn.Control(f)
}

func (m meddler) Read(f func(uintptr) bool) error {
	m.meddle()
	return m.RawConn.Read(f)
}

// A Close that comes while the part of an answer that is here is kept ends the exchange as any other: nothing of it stays in memory.
func TestCloseMeetsAStoppedUpload(t *testing.T) {
	const part = 100000 // more than the buffer takes
	server := badserver.Start(t, badserver.Script{
		badserver.ReadHead{}, badserver.Write("HTTP/1.1 413 Too Large\r\n\r\n" + strings.Repeat("x", part)), badserver.Stall{},
	})
	tr := new(Transport)
	r, w := io.Pipe()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, r)
	require.NoError(t, err)
	resp, err := tr.RoundTrip(req)
	require.NoError(t, err)
	b := resp.Body.(*streamBody)
	sock, met := b.s.conn.sock(), make(chan struct{})
	sock.raw = meddler{sock.raw, sync.OnceFunc(func() {
		assert.NoError(t, b.Close())
		close(met)
	})}
	require.NoError(t, w.CloseWithError(errors.New("the caller stopped")))
	<-met
	require.Eventually(t, func() bool { return tr.Stats().Leased == 0 }, 10*time.Second, time.Millisecond)
	assert.Eventually(t, func() bool { return tr.core.Load().absorbed.held.Load() == 0 }, time.Second, time.Millisecond, "bytes are kept")
	require.NoError(t, tr.Close())
}

// What has arrived behind a head that was read before its upload ended is kept, whether or not somebody looked for it meanwhile.
func TestUploadEndsBeforeTheRestIsLookedFor(t *testing.T) {
	goOn := make(chan struct{})
	server := badserver.Start(t, badserver.Script{
		badserver.ReadHead{}, badserver.Write("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 403 Forbidden\r\nContent-Length: 10\r\n\r\n"),
		badserver.Wait(goOn), badserver.Write("the answer"), badserver.Stall{},
	})
	tr := new(Transport)
	r, w := io.Pipe()
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(int, textproto.MIMEHeader) error {
		close(goOn)
		for hc := range tr.core.Load().leased() {
			assert.Eventually(t, hc.sock().hasUnread, 10*time.Second, time.Millisecond)
			_ = w.CloseWithError(errors.New("the caller stopped"))
			assert.Eventually(t, hc.h.Aborted, 10*time.Second, time.Millisecond)
		}
		return nil
	}})
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL, r)
	require.NoError(t, err)
	resp, err := tr.RoundTrip(req)
	require.NoError(t, err)
	got, err := io.ReadAll(resp.Body)
	assert.Equal(t, "the answer", string(got))
	assert.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.NoError(t, tr.Close())
}

// A lateReader does something before each Read, and tells when what waits on it was interrupted.
type lateReader struct {
	net.Conn
	before      func()
	interrupted chan struct{}
}

func (c lateReader) Read(p []byte) (int, error) {
	c.before()
	return c.Conn.Read(p)
}

func (c lateReader) SetDeadline(t time.Time) error {
	err := c.Conn.SetDeadline(t)
	select {
	case c.interrupted <- struct{}{}:
	default:
	}
	return err
}

// peeked returns how many bytes have arrived, of the first 64 KiB.
func peeked(t *testing.T, sock *socket) (n int) {
	require.NoError(t, sock.raw.Control(func(fd uintptr) {
		n, _, _ = syscall.Recvfrom(int(fd), make([]byte, 64<<10), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	}))
	return n
}

// What has arrived is read although its upload ends at the moment in which a Read is about to look for it: the deadline by which the end
// ends the exchange hides it from the Read, and may come as late as when it is taken.
func TestAReadMeetsTheEndOfItsUpload(t *testing.T) {
	const part, head = 40000, "HTTP/1.1 413 Too Large\r\nContent-Length: 99999\r\n\r\n"
	server := badserver.Start(t, badserver.Script{badserver.ReadHead{}, badserver.Write(head), badserver.Write(strings.Repeat("x", part)), badserver.Stall{}})
	tr := new(Transport)
	r, w := io.Pipe()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, r)
	require.NoError(t, err)
	resp, err := tr.RoundTrip(req)
	require.NoError(t, err)
	s := resp.Body.(*streamBody).s
	sock := s.conn.sock()
	require.Eventually(t, func() bool { return peeked(t, sock)+s.conn.h.Buffered() == part }, 10*time.Second, time.Millisecond)

	stopped, interrupted := errors.New("the caller stopped"), make(chan struct{}, 1)
	s.mu.Lock()
	sock.Conn = lateReader{sock.Conn, sync.OnceFunc(func() {
		assert.NoError(t, w.CloseWithError(stopped))
		<-interrupted
	}), interrupted}
	sock.raw = meddler{sock.raw, func() { assert.NoError(t, sock.SetReadDeadline(past)) }}
	s.mu.Unlock()
	got, err := io.ReadAll(resp.Body)
	assert.Equal(t, stopped, err)
	assert.Equal(t, part, len(got), "bytes of the answer")
	assert.Zero(t, tr.Stats().Leased)
	assert.Empty(t, tr.OpenBodies())
	assert.Zero(t, tr.core.Load().absorbed.held.Load())
	require.NoError(t, resp.Body.Close())
	require.NoError(t, tr.Close())
}
