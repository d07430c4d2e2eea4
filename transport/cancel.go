package transport

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// watchCancel ends a.ctx when the caller closes Request.Cancel.
func (a *attempt) watchCancel() {
	ctx, cancel := context.WithCancelCause(a.ctx)
	a.ctx, a.done = ctx, func() { cancel(nil) }
	go watchCancel(ctx, cancel, a.req.Cancel)
}

// watchCancelRequest lets CancelRequest end a.ctx, for callers who may call it from a hook at any moment.
func (a *attempt) watchCancelRequest(c *core) {
	ctx, cancel := context.WithCancelCause(a.ctx)
	forget, done := c.cancellable(a.req, cancel), a.done
	a.ctx, a.done = ctx, func() {
		forget()
		cancel(nil)
		done()
	}
}

// watchCancel is the goroutine behind a Request.Cancel; it ends with the exchange.
func watchCancel(ctx context.Context, cancel context.CancelCauseFunc, ch <-chan struct{}) {
	select {
	case <-ch:
		cancel(errRequestCanceled)
	case <-ctx.Done():
	}
}

// legacyCancelWait is how long an ended deadline waits for Request.Cancel.
const legacyCancelWait = 100 * time.Millisecond

// awaitLegacyCancel waits, after a deadline, for the caller's Cancel channel to close. http.Client with a Timeout
// sets both a deadline and a channel and closes the channel a moment later; it says that its Timeout was the reason
// only if the channel came first.
func awaitLegacyCancel(cancel <-chan struct{}, err error) {
	if cancel == nil || !errors.Is(err, context.DeadlineExceeded) {
		return
	}
	timer := time.NewTimer(legacyCancelWait)
	defer timer.Stop()
	select {
	case <-cancel:
	case <-timer.C:
	}
}

// cancellable lets CancelRequest reach a request that has no connection yet, until forget is called.
func (c *core) cancellable(req *http.Request, cancel func(error)) (forget func()) {
	c.mu.Lock()
	c.waiting[req] = cancel
	c.mu.Unlock()
	return func() {
		c.mu.Lock()
		delete(c.waiting, req)
		c.mu.Unlock()
	}
}

// cancelRequest cancels whatever req is doing now.
func (c *core) cancelRequest(req *http.Request) {
	c.mu.Lock()
	cancel := c.waiting[req]
	conns := make([]*http1Conn, 0, len(c.conns))
	for hc := range c.conns {
		conns = append(conns, hc)
	}
	c.mu.Unlock()
	if cancel != nil {
		cancel(errRequestCanceled)
	}
	for _, hc := range conns {
		hc.cancel(req)
	}
}
