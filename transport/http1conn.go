package transport

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync/atomic"
	"time"
	"weak"

	"github.com/watertight-go/watertight/internal/http1"
	"github.com/watertight-go/watertight/pool"
	"github.com/watertight-go/watertight/reaper"
)

// An http1Conn is a connection that speaks HTTP/1.1. Whoever holds its lease owns the exchange on it.
//
// It is most of what an idle connection needs besides its socket, and there may be many of those.
type http1Conn struct {
	account *account   // of its route, and of the core
	h       http1.Conn // on a socket, or on TLS of ours on one

	// Set before the first lease.
	watched reaper.Watch

	idleSince atomic.Int64                 // by the core's wall clock; 0 while the connection is leased
	req       atomic.Pointer[http.Request] // of the exchange in progress, for CancelRequest
	stream    atomic.Pointer[stream]       // of the exchange in progress, if its body streams
	asked     atomic.Pointer[url.URL]      // of the exchange in progress, a copy, where AcquireTimeout may have to name it

	// Owned by the lease holder.
	secured   weak.Pointer[tls.ConnectionState] // see tlsState
	promised  int32                             // for how many seconds the server said it keeps the connection idle; 0 if it did not
	one       [1]byte                           // for checkArrived
	unwatched bool                              // the socket cannot be watched; set before the first lease
	ownEnd    uint8                             // why we ended the last exchange and the connection with it, in partings; 0: we did not
}

var _ conn = (*http1Conn)(nil)

// A plainConn is a connection without TLS in one piece of memory: there may be many idle ones, and hardly any other object has its
// size of 224 bytes, so that what requests leave to the collector does not lie between them.
type plainConn struct {
	conn http1Conn
	sock socket
}

func (c *core) newHTTP1Conn(r route, nc net.Conn) *http1Conn {
	var hc *http1Conn
	if socketBeneath(nc) == nil {
		both := new(plainConn)
		both.sock.init(nc)
		hc, nc = &both.conn, &both.sock
	} else {
		hc = new(http1Conn)
	}
	hc.account = c.ledger.opened(r)
	hc.h.Init(nc, hc)
	if local := nc.LocalAddr(); local != nil && local.Network() == "pipe" {
		hc.h.WriteApart()
	}
	return hc
}

// wire returns what HTTP is spoken on, the socket or TLS of ours on it.
func (hc *http1Conn) wire() net.Conn { return hc.h.NetConn() }

func (hc *http1Conn) sock() *socket { return socketBeneath(hc.wire()) }

// tlsState returns what responses tell of the connection's TLS, nil without. They share it; an idle connection lets the collector
// have it, as it is made anew if need be.
func (hc *http1Conn) tlsState() *tls.ConnectionState {
	state := hc.secured.Value()
	if state == nil {
		if state = stateOf(hc.account.route, hc.wire()); state != nil {
			hc.secured = weak.Make(state)
		}
	}
	return state
}

// readsBeneath reports whether what has arrived can be read from the descriptor, which then shows all. A wrapper that is not ours,
// TLS of the caller's or within TLS, may have read ahead: only a Read through it tells.
func (hc *http1Conn) readsBeneath() bool { return hc.sock().raw != nil }

// watch begins to look for the peer's hang-up, in the best way that there is.
func (hc *http1Conn) watch() {
	if hc.readsBeneath() {
		hc.unwatched = hc.account.core.reaper.Watch(&hc.watched, hc.sock(), hc) != nil
	} else {
		hc.unwatched = true
	}
	hc.listen()
}

// keepEnd is called before the connection is closed. If its peer ended it before anybody leased it, what the peer sent is kept, for
// lastWord.
func (hc *http1Conn) keepEnd() {
	if !hc.sock().is(lent) && hc.readsBeneath() && hc.peerGone() {
		hc.sock().keep(firstTake)
	}
}

// listen waits on an idle connection that the reaper cannot watch, one without a descriptor or on a system without means, for the
// peer to hang up or to say what nobody asked for: it costs a goroutine and a buffer.
func (hc *http1Conn) listen() {
	if hc.unwatched {
		hc.h.Listen(hc.heard)
	}
}

// heard is called when an idle connection that is listened to is good for nothing more.
func (hc *http1Conn) heard(err error) { hc.HungUp(whatWasHeard(err)) }

// whatWasHeard returns what the end of a Read that Listen began means: its error, if that brought nothing.
func whatWasHeard(err error) error {
	if err == nil {
		return reaper.ErrUnexpectedData
	}
	return err
}

// HungUp is called by the reaper. An idle connection is closed now, a leased one when its lease ends.
func (hc *http1Conn) HungUp(err error) {
	hc.idleEnded()
	if hc.sock().learnt() != 0 {
		err = reaper.ErrReset
	}
	hc.account.core.pool.Retire(hc, reasonFor(err))
	if s := hc.stream.Load(); s != nil {
		go s.absorb() // it may be much, and others hang up as well
	}
}

func (hc *http1Conn) books() *account { return hc.account }

func (hc *http1Conn) network() net.Conn { return hc.wire() }

func (hc *http1Conn) peerGone() bool { return hc.watched.Err() != nil }

func (hc *http1Conn) info(l pool.Lease[route, conn]) httptrace.GotConnInfo {
	return httptrace.GotConnInfo{Conn: hc.netConn(), Reused: l.Reused(), WasIdle: l.IdleTime() > 0, IdleTime: l.IdleTime()}
}

// netConn returns the connection as callers know it.
func (hc *http1Conn) netConn() net.Conn {
	if sock, ok := hc.wire().(*socket); ok {
		return sock.Conn
	}
	return hc.wire()
}

// Options are the settings of the exchanges on it.
func (hc *http1Conn) Options() *http1.Options { return &hc.account.core.http1 }

func (hc *http1Conn) admits(int) bool { return false }

func (hc *http1Conn) holders(leased time.Duration) []Holder {
	h := Holder{State: heldLeased, Age: leased}
	if s := hc.stream.Load(); s != nil {
		about := hc.account.core.bodies.describe(&s.openBody)
		h.URL, h.Stack = about.URL, about.Stack
	} else if asked := hc.asked.Load(); asked != nil {
		h.URL = hc.account.core.bodies.redact(asked)
	}
	return []Holder{h}
}

// Close closes the socket. It is the pool's to call.
func (hc *http1Conn) Close() error {
	hc.idleSince.Store(0) // what is heard at this end is not the server's doing
	hc.sock().leave(hc.peerGone())
	err := hc.wire().Close()
	hc.watched.Stop()
	return err
}

// cancel aborts the exchange in progress if it is that of req. The turn is read between two looks at the request:
// either both belong to its exchange, or another look is due.
func (hc *http1Conn) cancel(req *http.Request) {
	for hc.req.Load() == req && !hc.h.Aborted() {
		turn := hc.h.Turn()
		if hc.req.Load() == req && hc.h.Cancel(turn, errRequestCanceled) {
			return
		}
	}
}

// Aborted is called when the exchange in progress was aborted, from whatever goroutine did it.
func (hc *http1Conn) Aborted() {
	if s := hc.stream.Load(); s != nil {
		s.aborted()
	}
}

// roundTrip carries one attempt.
func (hc *http1Conn) roundTrip(a *attempt, l pool.Lease[route, conn]) (*http.Response, error) {
	if why, err := hc.firstLook(a); err != nil {
		l.Discard(why)
		return nil, err
	}
	hc.idleSince.Store(0)
	if sock := hc.sock(); !sock.is(lent) {
		sock.set(lent)
	}
	if a.reused && (hc.peerGone() || hc.h.HeardLate()) {
		// The peer hung up since the check: nothing was written, any request may be sent elsewhere.
		a.failure = http1.FailedWriting
		l.Discard(ReasonPeerClosed)
		return nil, io.EOF
	}
	x := hc.h.Start()
	x.Done = a.done
	if err := hc.prepare(a, x); err != nil {
		// Nothing was written: the connection is as good as before.
		hc.end()
		hc.idleSince.Store(hc.account.core.wall())
		hc.listen()
		l.Release()
		return nil, err
	}
	hc.req.Store(a.req)
	if s := hc.account.core.settings; s.AcquireTimeout > 0 && s.MaxConnsPerHost > 0 {
		asked := *a.req.URL // the caller's own may change once RoundTrip has returned
		hc.asked.Store(&asked)
	}
	if hc.account.core.cancels.since(a.req, a.cancels) {
		hc.h.Cancel(hc.h.Turn(), errRequestCanceled)
		return nil, hc.failed(a, l, errRequestCanceled)
	}
	if a.watch != nil {
		turn := hc.h.Turn()
		a.watch.ends(func(cause error) { hc.h.Cancel(turn, cause) })
	}
	askedGzip := x.Head.AcceptGzip
	d := &detachedResponse{}
	x.Look = a.looks
	err := hc.h.RoundTrip(&d.Response, d.values[:0])
	if err != nil && x.Stale {
		x.Done = nil // the attempt goes on
		hc.end()
		l.Discard(reasonFor(err))
		return nil, errStale
	}
	if a.looks {
		hc.account.core.ledger.reused(hc.account)
	}
	if err != nil {
		a.written, a.received, a.failure = x.Written, x.Received, x.Failure
		return nil, hc.failed(a, l, err)
	}
	return hc.respond(a, l, d, askedGzip)
}

// prepare fills in what goes on the wire.
func (hc *http1Conn) prepare(a *attempt, x *http1.Exchange) error {
	req, settings := a.req, hc.account.core.settings
	forwards := a.route.forwards()
	host, err := hostOf(req, forwards)
	if err != nil {
		return err
	}
	if x.Head.Target, err = targetOf(req, host, forwards); err != nil {
		return err
	}
	x.Ctx, x.Request, x.Trace = a.ctx, req, a.trace
	x.Head.Host = host
	x.Head.Close = req.Close
	x.Head.NoKeepAlive = settings.DisableKeepAlives
	x.Head.AcceptGzip = !settings.DisableCompression && acceptsGzip(req)
	if forwards {
		x.Head.ProxyAuthorization = proxyAuthorization(a.route.proxyURL())
	}
	return frameRequest(a, x)
}

// frameRequest decides how the request's body is delimited (RFC 9112 section 6).
func frameRequest(a *attempt, x *http1.Exchange) error {
	req := a.req
	x.Head.ContentLength = -1
	chunked := len(req.TransferEncoding) > 0 && req.TransferEncoding[0] == "chunked"
	if a.body == nil && req.Body != nil && chunked {
		// Nothing, in chunks: the caller wants it so, perhaps for a trailer.
		x.Body, x.Head.Chunked = http.NoBody, true
		return nil
	}
	if a.body == nil {
		if req.ContentLength != 0 && req.Body == nil {
			return fmt.Errorf("transport: Request.ContentLength is %d, but Request.Body is nil", req.ContentLength)
		}
		switch req.Method {
		case http.MethodPost, http.MethodPut, http.MethodPatch:
			x.Head.ContentLength = 0 // many servers want it
		case "", http.MethodGet, http.MethodHead:
		default:
			if req.Body != nil && len(req.TransferEncoding) == 1 && req.TransferEncoding[0] == "identity" {
				x.Head.ContentLength = 0 // and so does the caller: it is how http.Transport is told
			}
		}
		return nil
	}
	x.Body = a.body
	x.Expect = expectsContinue(req)
	switch n := outgoingLength(req); {
	case chunked:
		x.Head.Chunked = true
	case n >= 0:
		x.Head.ContentLength = n
	case req.Method != http.MethodConnect:
		x.Probe = !x.Expect && !http1.HasBody(req.Method)
		x.Head.Chunked = !x.Probe
	}
	return nil
}

// failed ends an exchange without a response.
func (hc *http1Conn) failed(a *attempt, l pool.Lease[route, conn], err error) error {
	why := ReasonFailed
	if err == http1.ErrUnasked {
		why = ReasonUnsolicited
	}
	if hc.h.Aborted() {
		why = ReasonCancelled
		if hc.salvage(l) {
			hc.putIdle(a.trace, errNotKept) // not yet
			return err
		}
	}
	hc.discard(l, why, a.trace)
	return hc.explain(a.req.Method, a.req.URL, err)
}

// release ends an exchange whose response is complete: the connection returns to the pool if it can carry another.
func (hc *http1Conn) release(l pool.Lease[route, conn], trace *httptrace.ClientTrace) {
	keepAlive, aborted := hc.h.KeepAlive() && !hc.account.core.settings.DisableKeepAlives, hc.h.Aborted()
	if !hc.end() || !keepAlive {
		why := ReasonNoKeepAlive
		switch {
		case aborted:
			why = ReasonCancelled
		case keepAlive:
			why = ReasonUnfinished
		}
		hc.part(l, why)
		hc.putIdle(trace, errNotKept)
		return
	}
	hc.idleSince.Store(hc.account.core.wall())
	hc.listen()
	if l.Release() {
		hc.putIdle(trace, nil)
	} else {
		hc.putIdle(trace, errNotKept)
	}
}

// discard ends an exchange and its connection.
func (hc *http1Conn) discard(l pool.Lease[route, conn], why pool.Reason, trace *httptrace.ClientTrace) {
	hc.end()
	hc.part(l, why)
	hc.putIdle(trace, errNotKept)
}

// end ends the exchange and reports whether the connection may carry another.
func (hc *http1Conn) end() bool {
	hc.req.Store(nil)
	if hc.asked.Load() != nil {
		hc.asked.Store(nil)
	}
	return hc.h.End()
}
