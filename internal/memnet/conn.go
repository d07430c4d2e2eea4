package memnet

import (
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// A Conn is one end of a connection. Its methods may be called concurrently.
type Conn struct {
	network       *Network
	in, out       *stream
	local, remote address

	readDeadline, writeDeadline deadline
	closed                      atomic.Bool
}

var _ net.Conn = (*Conn)(nil)

func newConn(n *Network, in, out *stream, local, remote address) *Conn {
	return &Conn{network: n, in: in, out: out, local: local, remote: remote}
}

// Read reads what the other end wrote; io.EOF once that has closed, ECONNRESET after a reset.
func (c *Conn) Read(p []byte) (int, error) {
	n, err := c.in.read(p, c.readDeadline.passed())
	return n, c.wrap("read", err)
}

// Write writes as far as the other end's buffer goes, and waits for room.
func (c *Conn) Write(p []byte) (int, error) {
	n, err := c.out.write(p, &c.writeDeadline)
	return n, c.wrap("write", err)
}

func (c *Conn) wrap(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return &net.OpError{Op: op, Net: "mem", Source: c.local, Addr: c.remote, Err: err}
}

// Close ends both directions: the other end reads what was written, then io.EOF; its writes are reset.
func (c *Conn) Close() error {
	if c.closed.Swap(true) {
		return c.wrap("close", net.ErrClosed)
	}
	c.network.add(-1)
	c.out.end(io.EOF, net.ErrClosed)
	c.in.abandon(net.ErrClosed, syscall.ECONNRESET)
	c.readDeadline.stop()
	c.writeDeadline.stop()
	return nil
}

// CloseWrite ends our direction: the other end reads to io.EOF and may go on writing.
func (c *Conn) CloseWrite() error {
	c.out.end(io.EOF, syscall.EPIPE)
	return nil
}

// Reset closes the connection and loses what was under way, as a RST does.
func (c *Conn) Reset() {
	if c.closed.Swap(true) {
		return
	}
	c.network.add(-1)
	c.out.abandon(syscall.ECONNRESET, net.ErrClosed)
	c.in.abandon(net.ErrClosed, syscall.ECONNRESET)
}

// drop forgets an end that nobody got.
func (c *Conn) drop() { c.Reset() }

// LocalAddr returns this end's name.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr returns the other end's name.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline bounds reads and writes, also those in progress; the zero time removes the bound.
func (c *Conn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

// SetReadDeadline bounds reads.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.set(&c.readDeadline, t) }

// SetWriteDeadline bounds writes.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.set(&c.writeDeadline, t) }

func (c *Conn) set(d *deadline, t time.Time) error {
	if c.closed.Load() {
		return c.wrap("set", net.ErrClosed)
	}
	d.set(t)
	return nil
}

// A deadline is a time at which a channel closes. The zero value is never.
type deadline struct {
	mu    sync.Mutex // guards the fields below
	timer *time.Timer
	done  chan struct{}
}

// passed returns a channel that is closed once the deadline has passed. A later set of another time may renew it, so
// it serves for one wait.
func (d *deadline) passed() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.done == nil {
		d.done = make(chan struct{})
	}
	return d.done
}

func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	if d.done == nil || isClosed(d.done) {
		d.done = make(chan struct{})
	}
	if t.IsZero() {
		return
	}
	done := d.done
	expire := func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.done == done && !isClosed(done) {
			close(done)
		}
	}
	if wait := time.Until(t); wait > 0 {
		d.timer = time.AfterFunc(wait, expire)
	} else {
		close(done)
	}
}

func (d *deadline) stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
	}
}

func isClosed(ch chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

var errDeadline = os.ErrDeadlineExceeded
