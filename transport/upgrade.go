package transport

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"runtime"
	"sync"
	"time"

	"github.com/watertight-go/watertight/internal/http1"
	"github.com/watertight-go/watertight/pool"
)

// upgrade hands the connection to the caller as the body of a 101 response, or of a 200 to CONNECT: from now on its
// bytes are another protocol's (RFC 9110 sections 7.8 and 9.3.6).
func (hc *http1Conn) upgrade(a *attempt, l pool.Lease[route, conn], resp *http.Response) (*http.Response, error) {
	early, upload, ok := hc.h.Hijack()
	if !ok {
		hc.req.Store(nil)
		l.Discard(ReasonCancelled)
		return nil, a.cause()
	}
	hc.account.core.ledger.changeOf(hc.account, func(t *tally) { t.upgraded++ })
	opened := time.Now().Add(-l.Age())
	l.Hijack()
	hc.watched.Stop()
	t := &tunnel{core: hc.account.core, nc: hc.wire(), hc: hc, opened: opened, upload: upload, early: early}
	hc.account.core.bodies.add(&t.openBody, a.req, hc.account)
	if resp.StatusCode == http.StatusSwitchingProtocols {
		hc.req.Store(nil)
		a.done()
	} else {
		t.watch(a)
	}
	b := &tunnelBody{t: t}
	if !hc.account.core.bubble {
		b.cleanup = runtime.AddCleanup(b, droppedTunnel, t)
	}
	resp.Body = b
	return resp, nil
}

// A tunnel is a connection that left the pool with an upgrade.
type tunnel struct {
	openBody
	core   *core
	hc     *http1Conn
	nc     net.Conn
	opened time.Time // the connection

	upload http1.Upload // of the request's body, if that goes on

	mu    sync.Mutex // guards early
	early []byte     // received with the response's head

	once sync.Once
	stop func() // ends the watch on a CONNECT's context; nil: there is none
}

// watch lets the request's context and CancelRequest end the tunnel of a CONNECT, whose bytes are the response's body. A connection that
// was switched to another protocol is not the request's any more.
func (t *tunnel) watch(a *attempt) {
	ctx, done := a.ctx, a.done
	end := func(cause error) {
		t.hc.h.Cancel(t.hc.h.Turn(), cause)
		_, _ = t.end()
	}
	stop := context.AfterFunc(ctx, func() { end(context.Cause(ctx)) })
	forget := t.core.cancellable(a, end)
	t.stop = func() { stop(); forget(); done() }
}

func (t *tunnel) read(p []byte) (int, error) {
	t.mu.Lock()
	if len(t.early) > 0 {
		n := copy(p, t.early)
		t.early = t.early[n:]
		t.mu.Unlock()
		t.received.Add(int64(n))
		return n, nil
	}
	t.mu.Unlock()
	n, err := t.nc.Read(p)
	t.received.Add(int64(n))
	return n, t.explain(err)
}

func (t *tunnel) write(p []byte) (int, error) {
	n, err := t.nc.Write(p)
	return n, t.explain(err)
}

// explain turns what the connection says into why the tunnel was ended, by the context or the request's body.
func (t *tunnel) explain(err error) error {
	if err != nil {
		if cause := t.hc.h.Cause(); cause != nil {
			return cause
		}
	}
	return err
}

func (t *tunnel) close() (first bool, err error) {
	if t.stop != nil {
		t.stop()
	}
	return t.end()
}

// end closes the connection and what is left of the request's body. It reports whether it was the first.
func (t *tunnel) end() (first bool, err error) {
	t.once.Do(func() {
		first = true
		t.core.bodies.remove(&t.openBody)
		t.hc.req.Store(nil)
		t.core.ledger.changeOf(t.hc.account, func(t *tally) { t.upgraded-- })
		defer func() {
			err = t.hc.Close()
			t.upload.End()
		}()
		t.core.closing(t.hc, ReasonUpgraded, time.Since(t.opened))
	})
	return first, err
}

// droppedTunnel is the cleanup of a tunnelBody that the caller let go of.
func droppedTunnel(t *tunnel) { go t.reclaim() }

func (t *tunnel) reclaim() {
	if first, _ := t.close(); first {
		t.core.bodies.report(&t.openBody, Dropped)
	}
}

// A tunnelBody is the caller's handle on a tunnel: an io.ReadWriteCloser with CloseWrite. Dropped, its connection is
// closed and reported. The peer's end arrives as io.EOF, and writing goes on until the caller closes.
type tunnelBody struct {
	t       *tunnel
	cleanup runtime.Cleanup
}

var _ io.ReadWriteCloser = (*tunnelBody)(nil)

func (b *tunnelBody) Read(p []byte) (int, error) {
	defer runtime.KeepAlive(b)
	return b.t.read(p)
}

func (b *tunnelBody) Write(p []byte) (int, error) {
	defer runtime.KeepAlive(b)
	return b.t.write(p)
}

// Close closes the connection; a second Close does nothing.
func (b *tunnelBody) Close() error {
	defer runtime.KeepAlive(b)
	b.cleanup.Stop()
	_, err := b.t.close()
	return err
}

// CloseWrite ends our direction, where the connection can do that.
func (b *tunnelBody) CloseWrite() error {
	defer runtime.KeepAlive(b)
	if cw, ok := b.t.hc.netConn().(interface{ CloseWrite() error }); ok {
		return cw.CloseWrite()
	}
	return errors.ErrUnsupported
}
