package transport

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"

	"github.com/watertight-go/watertight/internal/http1"
	"github.com/watertight-go/watertight/pool"
)

// An attempt is one exchange of a RoundTrip; a retry is another. It is owned by RoundTrip's goroutine.
type attempt struct {
	req   *http.Request
	ctx   context.Context // the request's
	watch *cancelWatch    // on Request.Cancel; nil: there is none
	done  func()          // ends it; called once the exchange is over
	trace *httptrace.ClientTrace
	// cancels is how many calls of CancelRequest there had been before this RoundTrip.
	cancels uint64
	body    *requestBody // nil: none
	route   route
	lease   pool.Lease[route, conn] // the last
	over    bool                    // RoundTrip is about to return
	reused  bool
	plain   bool // nobody watches how the request is sent, and its body is not probed
	looks   bool // see looksLater

	// How far it came, for a retry.
	written  bool
	received bool
	failure  http1.Failure
	// unprocessed: the server said so of the request, or nothing of it was written.
	unprocessed bool
	crowded     bool // of these: it was too many for a connection just dialed
	refusals    int  // attempts that were unprocessed, and not crowded
	spare       bool // there is another attempt if a connection ends that was opened for this one: RetryOnNewConns
}

// roundTrip sends req until there is a response or an error that another attempt would not mend. It owns body.
func (c *core) roundTrip(req *http.Request, body *requestBody) (*http.Response, error) {
	a := attempt{req: req, body: body, ctx: req.Context(), done: func() {}, cancels: c.cancels.now(), spare: c.settings.RetryOnNewConns}
	a.trace = httptrace.ContextClientTrace(a.ctx)
	a.plain = a.trace == nil && c.http1.ResponseHeaderTimeout <= 0 && (body == nil || http1.HasBody(req.Method))
	a.watchCancel()
	defer a.endIfUnwound()
	resp, err := c.repeat(&a)
	a.over = true
	return resp, err
}

// endIfUnwound ends an attempt through which something of the caller's panicked, or exited its goroutine: a hook, the request's body.
// Whoever recovers from that will not know of the connection.
func (a *attempt) endIfUnwound() {
	if a.over {
		return
	}
	switch on := a.lease.Conn().(type) {
	case nil:
	case *http1Conn:
		if a.lease.Discard(ReasonFailed) && on.h.Started() { // in the middle of who knows what
			on.end()
		}
	default:
		a.lease.Release()
	}
	a.end()
}

// end ends what the last attempt leaves besides its connection.
func (a *attempt) end() {
	a.done()
	a.body.close()
}

// repeat makes attempts until one of them has to be the last.
func (c *core) repeat(a *attempt) (*http.Response, error) {
	for {
		resp, err := c.try(a)
		if err == nil {
			return resp, nil
		}
		if a.mayRetry() {
			err = a.backOff()
		}
		if err != nil {
			a.end()
			awaitLegacyCancel(a.req.Cancel, err)
			return nil, err
		}
		if a.body, err = a.body.rewind(a.req); err != nil {
			a.done()
			return nil, err
		}
		// The watch ended with the attempt.
		a.done()
		a.ctx = a.req.Context()
		a.watchCancel()
		if !a.crowded { // or it had not begun
			c.ledger.change(a.route, func(t *tally) { t.retries++ })
		}
	}
}

// try makes one attempt.
func (c *core) try(a *attempt) (*http.Response, error) {
	// What the one before came to is no reason to make another.
	a.reused, a.written, a.received, a.failure, a.unprocessed, a.crowded = false, false, false, http1.NoFailure, false, false
	if err := a.watch.look(); err != nil {
		return nil, err
	}
	resp, err := c.exchange(a)
	if err != nil {
		return nil, err
	}
	if err := a.watch.look(); err != nil {
		if resp.Body != nil { // which somebody of TLSNextProto may leave nil
			_ = resp.Body.Close()
		}
		return nil, err
	}
	return resp, nil
}

func (c *core) exchange(a *attempt) (_ *http.Response, err error) {
	if a.ctx.Err() != nil {
		return nil, context.Cause(a.ctx)
	}
	if a.route, err = c.routeOf(a.req); err != nil {
		return nil, err
	}
	for {
		l, err := c.acquire(a)
		if err != nil {
			return nil, err
		}
		// The lease is the connection's to end, on every path. As a method of conn this would move each attempt to the heap.
		switch on := l.Conn().(type) {
		case *http1Conn:
			resp, err := on.roundTrip(a, l)
			if err != errStale {
				return resp, err
			}
		case *http2Conn:
			return on.roundTrip(a, l)
		default:
			return on.(*protoConn).roundTrip(a, l)
		}
	}
}

// acquire leases a connection that is fit for use, as far as can be known before writing to it, or as far as is not looked at then.
func (c *core) acquire(a *attempt) (pool.Lease[route, conn], error) {
	if a.trace != nil && a.trace.GetConn != nil {
		a.trace.GetConn(a.route.dialAddr())
	}
	for {
		l, ok := c.pool.TryAcquire(a.route)
		if !ok {
			var err error
			if l, err = c.wait(a); err != nil {
				return l, err
			}
		}
		a.lease, a.reused = l, l.Reused()
		a.looks = a.reused && a.looksLater(l.Conn())
		if a.reused {
			why, ok := l.Conn().check(a.looks)
			if ok && !idempotent(a.req) && l.Conn().nearItsEnd(l) {
				why, ok = ReasonNearItsEnd, false
			}
			if !ok {
				l.Discard(why)
				continue
			}
		}
		if _, shared := l.Conn().(*http2Conn); !shared && !a.looks { // or it is counted when it has begun
			c.ledger.began(l.Conn().books(), a.reused)
		}
		if a.trace != nil && a.trace.GotConn != nil {
			a.trace.GotConn(l.Conn().info(l))
		}
		return l, nil
	}
}

// ownDial is the key of a flag in the context of a request that waits for a connection, which a dial sets that begins for it.
type ownDial struct{}

// wait acquires a connection where none is idle: it dials, or queues under MaxConnsPerHost.
func (c *core) wait(a *attempt) (pool.Lease[route, conn], error) {
	ctx, cancel := context.WithCancelCause(a.ctx)
	defer cancel(nil)
	defer c.cancellable(a, cancel)()
	own := new(atomic.Bool)
	asking := context.WithValue(ctx, ownDial{}, own)
	l, err := c.pool.Acquire(asking, a.route)
	for errors.Is(err, errTunnelUnwanted) && ctx.Err() == nil {
		l, err = c.pool.Acquire(asking, a.route) // it was this request's by then
	}
	if err != nil && ctx.Err() == nil && !own.Load() && !errors.Is(err, pool.ErrClosed) && !errors.Is(err, pool.ErrWaitTimeout) {
		// Another's dial failed, which may have met one bad address of several. One more is for all who waited for it.
		l, err = c.pool.Acquire(asking, a.route)
	}
	var retired *pool.RetiredError
	switch {
	case err == nil && ctx.Err() != nil:
		l.Release() // while both came at once: it is another's, as good as new
		err = context.Cause(ctx)
	case errors.Is(err, pool.ErrClosed):
		err = ErrClosed
	case errors.Is(err, pool.ErrWaitTimeout):
		c.ledger.change(a.route, func(t *tally) { t.waitTimeouts++ })
		err = c.acquireTimeout(a.route)
	case errors.As(err, &retired):
		err = a.lost(ctx, retired)
	case err != nil && ctx.Err() != nil:
		c.abandonTunnel(a.route)
	case endedByPeer(err):
		a.failure = http1.FailedWriting
	}
	return l, err
}

// lost returns what a read would have said of a connection that was opened for this request and ended before that had it.
func (a *attempt) lost(ctx context.Context, retired *pool.RetiredError) error {
	on := retired.Conn.(conn)
	if retired.Reason == ReasonUnsolicited {
		return newExchangeError(a.req.Method, a.req.URL, on.network(), errSpokeFirst)
	}
	a.unprocessed = retired.Reason == ReasonNoKeepAlive // the server said that it takes none
	a.failure = http1.FailedWriting
	switch on := on.(type) {
	case *http1Conn:
		return on.lastWord(a, retired.Reason)
	case *http2Conn:
		on.awaitEnd(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := on.behind(net.ErrClosed); err != net.ErrClosed {
			return on.explain(a.req.Method, a.req.URL, err)
		}
	}
	return io.EOF
}

// mayRetry reports whether the request may be sent again: not if the server may have processed it and must not do so twice.
// The attempt must have been on a connection that served before, so that its end is no answer to this request, and have
// failed before any byte of a response. Then either nothing was written, or the request is idempotent; and its body can be
// had again. Whether the end showed itself to a read or to a write, which may race in an upload, makes no difference.
//
// With RetryOnNewConns one connection may be another one. A request that the server says it did not process may be sent again
// anyway, a few times.
func (a *attempt) mayRetry() bool {
	switch {
	case a.body != nil && a.body.used.Load() && a.req.GetBody == nil:
		return false
	case a.unprocessed:
		return a.mayRefuse()
	case a.received || a.failure == http1.NoFailure || a.written && !idempotent(a.req):
		return false
	case a.reused:
		return true
	}
	spare := a.spare
	a.spare = false
	return spare
}

// idempotent reports whether sending the request twice does what sending it once does, by its method or by the
// caller's word. As in http.Transport PUT and DELETE want that word, although RFC 9110 section 9.2.2 has them idempotent.
func idempotent(req *http.Request) bool {
	switch req.Method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	// An empty list is the caller's word as well, without a field on the wire.
	_, ok := req.Header["Idempotency-Key"]
	if !ok {
		_, ok = req.Header["X-Idempotency-Key"]
	}
	return ok
}

// cause returns why the attempt was cancelled.
func (a *attempt) cause() error {
	if err := context.Cause(a.ctx); err != nil {
		return err
	}
	return errRequestCanceled
}
