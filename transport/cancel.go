package transport

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
	"weak"

	"github.com/watertight-go/watertight/internal/http1"
)

// legacyCancelWait is how long a request whose deadline has passed waits for Request.Cancel to be closed. http.Client does that at about the
// same time: on an idle machine a third of the wait is enough. If the caller's own deadline came before that of its http.Client, it waits in
// vain.
const legacyCancelWait = 10 * time.Millisecond

// contextWait is how long a context whose deadline has passed may take to end.
const contextWait = 100 * time.Millisecond

// awaitLegacyCancel waits, after the deadline of a request's context, for the caller's Cancel channel to close. http.Client with a Timeout
// sets both a deadline and a channel and closes the channel a moment later; it says that its Timeout was the reason
// only if the channel came first. Other timeouts, which match context.DeadlineExceeded, have no such channel.
func awaitLegacyCancel(cancel <-chan struct{}, err error) {
	if cancel == nil {
		return
	}
	for err != nil && err != context.DeadlineExceeded {
		err = errors.Unwrap(err)
	}
	if err != nil {
		http1.Await(cancel, legacyCancelWait)
	}
}

// A cancelLog tells a request between two places where CancelRequest looks for it, the queue for a connection and the
// exchange on one, that it was cancelled meanwhile. Requests that nobody cancels pay for a look at a counter.
//
// A request shows itself first and looks here then; CancelRequest writes here first and looks for the request then. In
// either order one of them sees the other.
type cancelLog struct {
	count atomic.Uint64

	mu     sync.Mutex // guards the fields below
	calls  map[weak.Pointer[http.Request]]uint64
	tidyAt int // the size of calls at which requests that are no more are taken out
}

// now returns how many calls there have been.
func (l *cancelLog) now() uint64 { return l.count.Load() }

// add notes a call of CancelRequest.
func (l *cancelLog) add(req *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.calls == nil {
		l.calls = map[weak.Pointer[http.Request]]uint64{}
	}
	if len(l.calls) >= l.tidyAt {
		for p := range l.calls {
			if p.Value() == nil {
				delete(l.calls, p)
			}
		}
		l.tidyAt = 2*len(l.calls) + 64
	}
	l.calls[weak.Make(req)] = l.count.Add(1)
}

// since reports whether req was cancelled after the first n calls. One that was cancelled before its RoundTrip began
// is another matter: callers use requests again.
func (l *cancelLog) since(req *http.Request, n uint64) bool {
	if l.count.Load() == n {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.calls[weak.Make(req)] > n
}

// cancellable lets CancelRequest reach a request that has no connection of the pool, not yet or not any more, until forget is
// called.
func (c *core) cancellable(a *attempt, cancel func(error)) (forget func()) {
	req := a.req
	c.mu.Lock()
	c.waiting[req] = cancel
	c.mu.Unlock()
	a.watch.ends(cancel)
	if c.cancels.since(req, a.cancels) {
		cancel(errRequestCanceled)
	}
	watch := a.watch
	return func() {
		watch.ends(nil)
		c.mu.Lock()
		delete(c.waiting, req)
		c.mu.Unlock()
	}
}

// cancelRequest cancels whatever req is doing now.
func (c *core) cancelRequest(req *http.Request) {
	if ends(req.Context()) {
		return // and all that req is doing with it: http.Client's timeouts need no walk over the connections
	}
	c.cancels.add(req)
	c.mu.Lock()
	cancel := c.waiting[req]
	c.mu.Unlock()
	if cancel != nil {
		cancel(errRequestCanceled)
	}
	for hc := range c.leased() {
		hc.cancel(req)
	}
}

// ends reports whether a context has ended. Where its deadline has passed, that is about to be: the timer of an http.Client or a deadline
// of a socket, for the same moment, may come first.
func ends(ctx context.Context) bool {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= 0 {
		http1.Await(ctx.Done(), contextWait)
	}
	return ctx.Err() != nil
}

// leased iterates over the connections that carry a request.
func (c *core) leased() iter.Seq[*http1Conn] {
	return func(yield func(*http1Conn) bool) {
		for _, info := range c.pool.All() {
			if hc, ok := info.Conn.(*http1Conn); ok && info.Leased && !yield(hc) {
				return
			}
		}
	}
}
