package transport

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"

	"github.com/watertight-go/watertight/internal/http1"
	"github.com/watertight-go/watertight/pool"
	"github.com/watertight-go/watertight/reaper"
)

// A protoConn is a connection whose TLS handshake negotiated a protocol of TLSNextProto: the caller's RoundTripper speaks on it,
// to any number of requests at once. The pool decides how long it is kept, and the guard looks after its bodies.
type protoConn struct {
	core    *core
	account *account // of its route
	nc      *tls.Conn
	rt      http.RoundTripper
	watched reaper.Watch
	closed  atomic.Bool // by the RoundTripper, which reads the peer's end as well and may be first
}

var _ conn = (*protoConn)(nil)

// nextProto returns the connection of the protocol that was negotiated, nil if it is none of TLSNextProto.
func (c *core) nextProto(r route, nc *tls.Conn, negotiated string) *protoConn {
	next := c.settings.TLSNextProto[negotiated]
	if negotiated == "" || next == nil {
		return nil
	}
	pc := &protoConn{core: c, nc: nc}
	if sock := socketBeneath(nc); sock != nil {
		sock.tellClose(pc.wasClosed)
	}
	pc.rt = next(r.addr(), nc)
	pc.account = c.ledger.opened(r)
	return pc
}

// wasClosed retires a connection that is closed, whoever did it: nothing tells of a closed socket's end.
func (pc *protoConn) wasClosed() {
	if sock := socketBeneath(pc.nc); !sock.is(hungUp | reading) {
		// Perhaps the server said goodbye, and its FIN is still on the way. TLS says again what it said last, and nobody reads any more.
		if _, err := pc.nc.Read(make([]byte, 1)); err == io.EOF {
			sock.set(hungUp)
		}
	}
	pc.closed.Store(true)
	pc.core.pool.Retire(pc, pc.whyClosed())
}

// whyClosed tells why a connection is closed that is not the pool's to close.
func (pc *protoConn) whyClosed() pool.Reason {
	if pc.peerGone() {
		return ReasonPeerClosed
	}
	return ReasonNoKeepAlive // as its RoundTripper has it
}

func (pc *protoConn) watch() {
	_ = pc.core.reaper.Watch(&pc.watched, pc.nc, pc) // or its RoundTripper reads the end
	if pc.closed.Load() {
		pc.wasClosed() // before the pool knew it
	}
}

// HungUp is called by the reaper.
func (pc *protoConn) HungUp(err error) { pc.core.pool.Retire(pc, reasonFor(err)) }

func (pc *protoConn) parting() pool.Reason { return "" }

func (pc *protoConn) books() *account { return pc.account }

func (pc *protoConn) network() net.Conn { return pc.nc }

func (pc *protoConn) peerGone() bool {
	sock := socketBeneath(pc.nc)
	return pc.watched.Err() != nil || sock != nil && sock.is(hungUp)
}

func (pc *protoConn) check(bool) (pool.Reason, bool) {
	return pc.whyClosed(), !pc.peerGone() && !pc.closed.Load()
}

func (pc *protoConn) holders(leased time.Duration) []Holder {
	return []Holder{{State: heldLeased, Age: leased}}
}

func (pc *protoConn) nearItsEnd(pool.Lease[route, conn]) bool { return false }

func (pc *protoConn) admits(int) bool { return true }

func (pc *protoConn) info(l pool.Lease[route, conn]) httptrace.GotConnInfo {
	return httptrace.GotConnInfo{Conn: pc.nc, Reused: l.Reused(), WasIdle: l.IdleTime() > 0, IdleTime: l.IdleTime()}
}

func (pc *protoConn) Close() error {
	if sock := socketBeneath(pc.nc); sock != nil {
		sock.leave(pc.peerGone())
	}
	err := pc.nc.Close()
	pc.watched.Stop()
	return err
}

// roundTrip leaves the exchange to the caller's RoundTripper. The lease ends with the response's body.
func (pc *protoConn) roundTrip(a *attempt, l pool.Lease[route, conn]) (*http.Response, error) {
	a.cancelsContext()
	req := a.req.WithContext(a.ctx)
	if a.body != nil {
		req.Body = a.body
	}
	done := a.done
	end := func() { l.Release(); done() }
	resp, err := pc.rt.RoundTrip(req)
	switch {
	case err == nil && (resp.Body == nil || resp.Body == http.NoBody):
		end()
	case err == nil:
		resp = pc.core.bodies.guard(a.req, resp, pc.account, max(pc.core.settings.LeakTimeout, 0), end)
	case a.ctx.Err() != nil:
		l.Release() // it was the request that ended, not the connection
	default:
		var spent interface{ IsHTTP2NoCachedConnError() }
		if errors.As(err, &spent) {
			// The connection takes no more requests, and did not take this one. One that never took any says something of its server.
			a.failure, a.unprocessed = http1.FailedWriting, !a.reused
		}
		l.Discard(ReasonFailed)
	}
	if resp != nil {
		resp.Request = a.req
	}
	return resp, err
}
