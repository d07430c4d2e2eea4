package transport_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/internal/badserver"
	"github.com/watertight-go/watertight/transport"
)

// A lateConn is a connection to a server that has hung up, at a client that has yet to read what came before.
type lateConn struct {
	net.Conn
	late, gone atomic.Bool
	failed     chan struct{} // a Write
	held       chan struct{} // a Read, with the beginning of what came
	read       chan struct{} // closed: it goes on
}

func (c *lateConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.late.CompareAndSwap(true, false) {
		c.held <- struct{}{}
		<-c.read
	}
	return n, err
}

func (c *lateConn) Write(p []byte) (int, error) {
	if !c.gone.Load() {
		return c.Conn.Write(p)
	}
	select {
	case c.failed <- struct{}{}:
	default:
	}
	return 0, &net.OpError{Op: "write", Net: "tcp", Err: syscall.EPIPE}
}

// A server answers and hangs up. If a Write tells first, the answer that is here already is its caller's all the same; with the codec
// alone it is lost. Further requests go elsewhere, whatever they are, also one that was lent the connection before.
func TestHTTP2WriteFailsBeforeTheAnswerIsRead(t *testing.T) {
	rest, over := make(chan struct{}), make(chan struct{})
	c := &lateConn{failed: make(chan struct{}, 1), held: make(chan struct{}), read: make(chan struct{})}
	server := badserver.Start(t,
		speaks(func(f *badserver.Frames) error {
			stream, err := f.AwaitRequest()
			if err != nil {
				return err
			}
			if err := f.Head(stream, false, ":status", "200"); err != nil {
				return err
			}
			<-rest
			if err := f.WriteData(stream, false, []byte("hel")); err != nil {
				return err
			}
			<-c.held
			if err := f.WriteData(stream, true, []byte("lo")); err != nil {
				return err
			}
			<-over
			return nil
		}),
		speaks(answers(0, nil)))
	tr := cleartext(t)
	var dials atomic.Int32
	tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err != nil || dials.Add(1) > 1 {
			return nc, err
		}
		c.Conn = nc
		return c, nil
	}

	resp := mustGet(t, tr, server.URL)
	lent, third := make(chan struct{}), make(chan error, 1)
	goesOn := make(chan struct{})
	trace := &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) {
		if i.Conn == c {
			close(lent)
			<-goesOn
		}
	}}
	go func() {
		_, _, err := do(t, tr, http.MethodPost, server.URL, "", func(r *http.Request) {
			*r = *r.WithContext(httptrace.WithClientTrace(t.Context(), trace))
		})
		third <- err
	}()
	<-lent
	c.late.Store(true)
	close(rest)
	c.gone.Store(true)
	ctx, cancel := context.WithCancel(t.Context())
	second := make(chan error, 1)
	go func() {
		_, _, err := do(t, tr, http.MethodGet, server.URL, "", func(r *http.Request) { *r = *r.WithContext(ctx) })
		second <- err
	}()
	<-c.failed
	cancel()
	require.ErrorIs(t, <-second, context.Canceled) // the codec has done what follows from the failure
	for len(c.failed) > 0 {
		<-c.failed
	}
	close(goesOn)
	select {
	case <-c.failed:
	case err := <-third:
		third <- err
	}
	close(c.read)
	got, err := io.ReadAll(resp.Body)
	close(over)
	require.NoError(t, err)
	assert.Equal(t, "hello", string(got))
	require.NoError(t, <-third)
	require.NoError(t, mustGet(t, tr, server.URL).Body.Close())
	assert.Equal(t, 2, server.Accepted())
	require.Eventually(t, func() bool { st := tr.Stats(); return st.Leased == 0 && st.Open == 1 }, patience, tick)
}

// A brokenConn is a connection on which a Write is under way when a Read fails.
type brokenConn struct {
	net.Conn
	full, broken atomic.Bool
	writes       chan struct{} // one waits; it does until Close
	closed       chan struct{}
	once         sync.Once
}

var errTorn = errors.New("the cable was torn out")

func (c *brokenConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.broken.Load() {
		return 0, &net.OpError{Op: "read", Net: "tcp", Err: errTorn}
	}
	return n, err
}

func (c *brokenConn) Write(p []byte) (int, error) {
	if !c.full.Load() {
		return c.Conn.Write(p)
	}
	select {
	case c.writes <- struct{}{}:
	default:
	}
	<-c.closed
	return 0, &net.OpError{Op: "write", Net: "tcp", Err: net.ErrClosed}
}

func (c *brokenConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// begin sends a request on c whose upload goes on when its response has come.
func (c *brokenConn) begin(t *testing.T, url string) (tr *transport.Transport, resp *http.Response, upload *io.PipeWriter) {
	tr = cleartext(t)
	tr.DialContext = func(ctx context.Context, network, addr string) (_ net.Conn, err error) {
		c.Conn, err = new(net.Dialer).DialContext(ctx, network, addr)
		return c, err
	}
	body, upload := io.Pipe()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, body)
	require.NoError(t, err)
	resp, err = tr.RoundTrip(req)
	require.NoError(t, err)
	return tr, resp, upload
}

// write has the upload go on, and returns when that waits in a Write.
func (c *brokenConn) write(upload *io.PipeWriter) {
	c.full.Store(true)
	go func() { _, _ = upload.Write([]byte("much")) }()
	<-c.writes
}

// What a Read failed of is what the caller is told, and not that an upload that was under way found the connection closed then.
func TestHTTP2ReadFailsDuringAnUpload(t *testing.T) {
	more, over := make(chan struct{}), make(chan struct{})
	server := badserver.Start(t, speaks(responds(func(f *badserver.Frames, stream uint32) error {
		<-more
		_ = f.WriteData(stream, false, []byte("hello"))
		<-over
		return nil
	})))
	defer close(over)
	c := &brokenConn{writes: make(chan struct{}, 1), closed: make(chan struct{})}
	tr, resp, upload := c.begin(t, server.URL)
	defer resp.Body.Close()
	c.write(upload)
	c.broken.Store(true)
	close(more)
	_, err := io.ReadAll(resp.Body)
	require.ErrorIs(t, err, errTorn)
	require.Eventually(t, func() bool { st := tr.Stats(); return st.Leased == 0 && st.Open == 0 }, patience, tick)
}
