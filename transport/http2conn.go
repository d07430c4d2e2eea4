package transport

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"maps"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"

	"github.com/watertight-go/watertight/internal/http1"
	"github.com/watertight-go/watertight/pool"
	"github.com/watertight-go/watertight/reaper"
)

// An http2Engine makes HTTP/2 connections. x/net's part is that of a codec with flow control: connections are dialed, shared and
// closed by the pool, streams are followed by the wire, and bodies looked after by the guard.
//
// Of x/net's connections nothing is used but NewClientConn, RoundTrip, CanTakeNewRequest, Ping and Close: what does the same where
// x/net wraps net/http, from Go 1.27 on. Its connections never wait for each other; requests that exceed what the server allows
// wait in RoundTrip, which is for the moments in which x/net has not noticed a stream's end that the pool knows of.
type http2Engine struct {
	transport *http2.Transport
	ping      pingPlan
	hooks     sync.Pool        // of *http2Hook, that nobody has
	buffers   http1.BufferPool // for bodies
}

// newHTTP2Engine configures x/net by way of an http.Transport that never makes a request.
func newHTTP2Engine(s *Transport) (*http2Engine, error) {
	config, ping := s.http2Config()
	t, err := http2.ConfigureTransports(&http.Transport{
		DisableCompression:     true,                            // a Close could not end the first Read of what the codec decompresses
		ResponseHeaderTimeout:  max(s.ResponseHeaderTimeout, 0), // a negative one is none, which the codec does not know
		ExpectContinueTimeout:  s.ExpectContinueTimeout,
		MaxResponseHeaderBytes: s.MaxResponseHeaderBytes,
		HTTP2:                  config,
	})
	if err != nil {
		return nil, err
	}
	t.CountError = config.CountError // which is not taken over for clients
	return &http2Engine{transport: t, ping: ping}, nil
}

// An http2Conn is a connection that speaks HTTP/2. It is leased once for each of its streams.
type http2Conn struct {
	core    *core
	account *account // of the route; nil until it is known that the connection is one
	cc      *http2.ClientConn
	wire    *http2Wire
	tls     *tls.ConnectionState // nil without TLS

	watched reaper.Watch
	pinger  pinger

	settled   chan struct{} // closed when the codec has acted on the server's first SETTINGS, or the connection is closed
	settle    func()        // closes it
	exchanges atomic.Int64  // leases that came as far as roundTrip
	held      atomic.Int64  // streams that have ended, though not for the codec: see leavesLater
	budget    int64         // how many requests it may carry; 0: any number
	begun     atomic.Int64  // of these
	known     atomic.Bool   // to the pool
	gone      atomic.Bool   // it takes no more requests
	idleSince atomic.Int64  // by the core's wall clock; 0 while there are streams

	mu  sync.Mutex  // guards why
	why pool.Reason // for which it is gone
}

var _ conn = (*http2Conn)(nil)

// newHTTP2Conn begins to speak HTTP/2 on nc, which it closes on an error.
func (c *core) newHTTP2Conn(ctx context.Context, r route, nc net.Conn, state *tls.ConnectionState) (*http2Conn, error) {
	hc := &http2Conn{core: c, tls: state, settled: make(chan struct{})}
	if c.settings.MaxConnsPerHost <= 0 { // or requests would wait for the streams of one that has carried as many
		hc.budget = c.spoken.budgeted(r)
	}
	hc.settle = sync.OnceFunc(func() {
		c.spoken.allow(r, hc.wire.limit.Load())
		close(hc.settled)
	})
	hc.wire = newHTTP2Wire(hc, onSocket(nc), c.spoken.allowed(r))
	if c.settings.HTTP2 == nil || c.settings.HTTP2.WriteByteTimeout <= 0 { // or a write that ends within what goes out together would have to be told
		hc.wire.openOutbox()
	}
	stop := context.AfterFunc(ctx, func() { hc.wire.fail(context.Cause(ctx)) })
	cc, err := c.http2.transport.NewClientConn(hc.wire)
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		_ = hc.wire.Close()
		return nil, err
	}
	hc.wire.whole = hc.wire.outbox.window.Load()
	hc.cc, hc.account = cc, c.ledger.opened(r)
	return hc, nil
}

// retire lets the connection carry no more requests. Before the pool knows it, watch does so.
func (hc *http2Conn) retire(why pool.Reason) {
	hc.mu.Lock()
	if hc.why == "" {
		hc.why = why
	}
	hc.mu.Unlock()
	hc.gone.Store(true)
	if hc.known.Load() {
		hc.retireKnown(why)
	}
}

// reason returns why the connection is gone; "" if it is not.
func (hc *http2Conn) reason() pool.Reason {
	hc.mu.Lock()
	defer hc.mu.Unlock()
	return hc.why
}

func (hc *http2Conn) watch() {
	_ = hc.core.reaper.Watch(&hc.watched, hc.wire.Conn, hc) // or the engine reads the end
	hc.known.Store(true)
	hc.pinger.opened(hc)
	if hc.wire.closed.Load() {
		hc.retireKnown(cmp.Or(hc.reason(), ReasonPeerClosed))
	}
}

// retireKnown has the pool lend the connection no more. One that failed before its first request is left to that, which is told what is
// wrong with it.
func (hc *http2Conn) retireKnown(why pool.Reason) {
	if why == ReasonFailed && hc.exchanges.Load() == 0 && hc.idleSince.Load() == 0 {
		time.AfterFunc(unaskedFor, func() { hc.core.pool.Retire(hc, why) })
		return
	}
	hc.core.pool.Retire(hc, why)
}

// unaskedFor is how long a connection that has failed may await its first request. That is there, unless its sender left.
const unaskedFor = time.Second

// HungUp is called by the reaper.
func (hc *http2Conn) HungUp(err error) {
	if hc.known.Load() { // or it is to be read first what the peer said before
		hc.retire(reasonFor(err))
	}
}

func (hc *http2Conn) parting() pool.Reason { return "" } // streams end, not connections

func (hc *http2Conn) books() *account { return hc.account }

func (hc *http2Conn) network() net.Conn { return hc.wire.Conn }

func (hc *http2Conn) peerGone() bool {
	return hc.wire.hungUp.Load() || hc.watched.Err() != nil
}

func (hc *http2Conn) check(bool) (pool.Reason, bool) {
	switch {
	case hc.gone.Load():
		return hc.reason(), false
	case hc.peerGone():
		return ReasonPeerClosed, false
	case hc.exchanges.Load() == 0 && hc.core.outlived(hc.idleSince.Load()):
		return pool.IdleTimeout, false
	case hc.isShut():
		return ReasonNoKeepAlive, false
	case hc.isMostlyHeld(): // the server allows fewer than it did
		return ReasonUnfinished, false
	}
	return "", true
}

// isShut reports whether the server of a connection that was idle allows no stream on it any more. A request would wait there for as
// long as it likes.
func (hc *http2Conn) isShut() bool {
	return hc.wire.shut.Load() && !hc.core.settings.waitsForStreams() && hc.exchanges.Load() == 0
}

// admits reports whether there may be so many streams at once.
func (hc *http2Conn) admits(leases int) bool {
	if hc.gone.Load() {
		hc.core.pool.Retire(hc, hc.reason()) // or how few requests it has would be taken for what the next one will admit
		return false
	}
	most := int64(hc.wire.limit.Load()) - hc.held.Load()
	if hc.budget > 0 {
		most = min(most, hc.budget) // or it would be known of one connection after the other that it is not enough
	}
	return int64(leases) <= most
}

func (hc *http2Conn) nearItsEnd(pool.Lease[route, conn]) bool { return false } // a GOAWAY would say what the server has not seen

func (hc *http2Conn) holders(leased time.Duration) (holders []Holder) {
	now, bodies := hc.core.clock(), &hc.core.bodies
	for x, b := range hc.wire.carried() {
		h := Holder{State: heldLeased, Age: now - x.began}
		if b == nil {
			h.URL = bodies.redact(x.url)
		} else {
			about := bodies.describe(&b.openBody)
			h.URL, h.Stack = about.URL, about.Stack
		}
		holders = append(holders, h)
	}
	if len(holders) == 0 { // nobody has a stream, not yet or not any more
		holders = []Holder{{State: heldLeased, Age: leased}}
	}
	return holders
}

func (hc *http2Conn) info(l pool.Lease[route, conn]) httptrace.GotConnInfo {
	nc := hc.wire.Conn
	if sock, ok := nc.(*socket); ok {
		nc = sock.Conn
	}
	return httptrace.GotConnInfo{Conn: nc, Reused: l.Reused(), WasIdle: l.IdleTime() > 0, IdleTime: l.IdleTime()}
}

// Close closes the socket. It is the pool's to call.
func (hc *http2Conn) Close() error {
	hc.forgetBudget()
	if !hc.wire.closed.Load() { // or else streams would be told that we closed it, and not why
		hc.awaitEnd(context.Background())
		_ = hc.cc.Close()
		_ = hc.wire.Close()
	}
	hc.pinger.stop()
	hc.watched.Stop()
	return nil
}

// awaitEnd lets the codec read to its end what a peer said that has left before anybody had a stream: it may say why, and who waited for
// the connection asks for that, until ctx ends.
func (hc *http2Conn) awaitEnd(ctx context.Context) {
	if hc.exchanges.Load() > 0 || hc.idleSince.Load() != 0 || !hc.peerGone() {
		return
	}
	for range endRounds {
		if hc.wire.lost.Load() {
			return
		}
		select {
		case <-time.After(endRound):
		case <-ctx.Done():
			return
		}
	}
}

// The end is here, and the codec comes to it as soon as it has its turn.
const (
	endRounds = 200
	endRound  = time.Millisecond
)

// errCrowded is what a request is told that shares a connection with more than the server allows, at once or one after the other; it is sent
// again.
var errCrowded = errors.New("transport: the server allows fewer streams on a connection than there are")

// enter lets the first request go ahead, which has waited for the dial, while others who came with it wait for the server to say
// how many it allows. Those who are too many do not begin: they were lent the connection before that was known.
func (hc *http2Conn) enter(a *attempt) error {
	place := hc.exchanges.Add(1)
	select {
	case <-hc.settled:
	default:
		a.reused = place > 1 || hc.idleSince.Load() != 0 // whoever is first has what was opened for it, whichever lease that is
		if place == 1 {
			break
		}
		hc.pinger.begins(hc)
		select {
		case <-hc.settled:
		case <-a.ctx.Done():
			return a.cause()
		}
	}
	if limit := int64(hc.wire.limit.Load()); place > max(limit-hc.held.Load(), 1) || hc.overdrawn() {
		a.unprocessed, a.crowded = true, limit > 0
		return errCrowded
	}
	return nil
}

// leave ends a lease, and discards the connection if there is a reason to.
func (hc *http2Conn) leave(l pool.Lease[route, conn], why pool.Reason) {
	if hc.exchanges.Add(-1) == 0 {
		hc.idleSince.Store(hc.core.wall())
	}
	if why != "" {
		l.Discard(why)
	} else {
		l.Release()
	}
}

// roundTrip carries one attempt on a stream of its own.
func (hc *http2Conn) roundTrip(a *attempt, l pool.Lease[route, conn]) (*http.Response, error) {
	if err := checkHTTP2(a.req); err != nil {
		l.Release()
		return nil, err
	}
	a.cancelsContext()
	err := hc.enter(a)
	if !a.crowded { // or it has not begun
		hc.core.ledger.began(hc.account, a.reused)
	}
	if err != nil {
		hc.leave(l, "")
		return nil, err
	}
	hc.pinger.begins(hc)
	x := &http2Exchange{conn: hc, lease: l, url: a.req.URL}
	if hc.core.settings.AcquireTimeout > 0 { // or nobody asks
		x.began = hc.core.clock()
	}
	req := &x.req
	*req = *a.req.WithContext(x.context(a))
	req.Cancel = nil // a.ctx ends with it
	if a.ctx.Done() != nil || hc.core.settings.AcquireTimeout > 0 {
		own := *a.req.URL
		x.url, req.URL = &own, &own
	}
	x.unzips = !hc.core.settings.DisableCompression && takesGzip(req)
	if a.ctx.Done() != nil {
		// RoundTrip may return before they are read.
		req.Header, req.Trailer = x.fields(req.Header), maps.Clone(req.Trailer)
	} else if x.unzips {
		req.Header = x.fields(req.Header)
	}
	x.takeClose(req)
	if a.body == nil {
		req.Trailer = nil // the codec would announce it, and leave the stream open without sending it
	} else {
		x.upload = &http2Upload{requestBody: a.body, trailer: req.Trailer, filled: a.req.Trailer, stuck: make(chan struct{}), conn: hc}
		req.Body, req.Cancel = x.upload, x.upload.stuck
	}
	if hc.idleSince.Load() != 0 { // most of the time others have streams, and a write would take the cache line from them
		hc.idleSince.Store(0)
	}
	resp, err := hc.cc.RoundTrip(req)
	x.upload.returned()
	switch {
	case x.upload != nil && x.upload.exited.Load():
		err = &uploadError{http1.ErrBodyExited}
	case err == nil && resp == nil:
		err = errExited
	}
	if err != nil {
		return nil, x.failed(a, err)
	}
	return x.respond(a, resp)
}

// mayBeSpent reports whether the connection refuses requests for a reason that it does not tell: it made too many streams.
func (hc *http2Conn) mayBeSpent() bool {
	return hc.gone.Load() || hc.wire.lost.Load() || !hc.cc.CanTakeNewRequest()
}

// ping asks whether the server is there.
func (hc *http2Conn) ping(ctx context.Context) error { return hc.cc.Ping(ctx) }

// nudge has the codec look at those who wait for a window or for a stream, as it does whenever a request ends, and not when a context does
// or when the server allows more streams. Here one ends before anything of it is written.
func (hc *http2Conn) nudge() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	req := http.Request{Method: http.MethodGet, URL: &url.URL{Scheme: "https", Host: "none.invalid"}, Header: http.Header{}}
	_, _ = hc.cc.RoundTrip(req.WithContext(ctx))
}

// ofStream reports whether it was the stream that failed, and not its connection, and whether that is as the server says that it did
// nothing for it (RFC 9113 section 8.7).
func ofStream(err error) (failed, refused bool) {
	var se http2.StreamError
	failed = errors.As(err, &se)
	return failed, failed && se.Code == http2.ErrCodeRefusedStream
}

// isReset reports whether the server reset the stream. Callers look for the code at the end of what the codec says of it.
func isReset(err error) bool {
	var se http2.StreamError
	return errors.As(err, &se) && se.Cause != nil && se.Cause.Error() == "received from peer"
}

// isConnectionError reports whether the server broke the rules so that the connection ends.
func isConnectionError(err error) bool {
	var ce http2.ConnectionError
	return errors.As(err, &ce)
}

// err is what those are told whose stream was cut off after that.
func (g *goAway) err() error {
	return http2.GoAwayError{LastStreamID: g.last, ErrCode: http2.ErrCode(g.code)}
}
