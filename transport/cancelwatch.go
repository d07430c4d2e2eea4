package transport

import (
	"context"
	"net/http"
	"sync"
	"time"
)

// cancelPatience is how long an attempt may last before somebody waits for its Request.Cancel; it is looked at when the attempt begins
// and when there is a response. An http.Client with a Timeout sets one for each request, beside a deadline and CancelRequest, which
// both end the attempt at once, and most are over by then.
const cancelPatience = 10 * time.Millisecond

// A cancelWatch ends what an attempt is doing when the caller closes Request.Cancel. A nil one watches nothing.
type cancelWatch struct {
	ctx       context.Context // the request's
	cancelled <-chan struct{}
	timer     *time.Timer

	mu    sync.Mutex    // guards the fields below
	end   func(error)   // ends what the attempt is doing now; nil: there is nothing to end
	over  bool          // the watch was stopped
	ended chan struct{} // closed then; nil: nobody waits for it
}

func newCancelWatch(req *http.Request) *cancelWatch {
	w := &cancelWatch{ctx: req.Context(), cancelled: req.Cancel}
	w.timer = time.AfterFunc(cancelPatience, w.wait)
	return w
}

// wait is the goroutine behind a Request.Cancel of an attempt that lasts.
func (w *cancelWatch) wait() {
	w.mu.Lock()
	if w.over {
		w.mu.Unlock()
		return
	}
	ended := make(chan struct{})
	w.ended = ended
	w.mu.Unlock()
	select {
	case <-w.cancelled:
		_ = w.fire()
	case <-ended:
	}
}

// fire ends what the attempt is doing, and returns why. A deadline ends that by itself: the error is the same whichever comes first.
func (w *cancelWatch) fire() error {
	if ends(w.ctx) {
		return context.Cause(w.ctx)
	}
	w.mu.Lock()
	end := w.end
	w.mu.Unlock()
	if end != nil {
		end(errRequestCanceled)
	}
	return errRequestCanceled
}

// ends says what to call from now on. It is called at once where Request.Cancel was closed before.
func (w *cancelWatch) ends(end func(error)) {
	if w == nil {
		return
	}
	w.mu.Lock()
	if w.over {
		end = nil
	}
	w.end = end
	w.mu.Unlock()
	if end != nil {
		_ = w.look()
	}
}

// look ends what the attempt is doing, and returns why, if the caller has closed Request.Cancel by now.
func (w *cancelWatch) look() error {
	if w == nil {
		return nil
	}
	select {
	case <-w.cancelled:
		return w.fire()
	default:
		return nil
	}
}

// stop ends the watch.
func (w *cancelWatch) stop() {
	w.timer.Stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over, w.end = true, nil
	if w.ended != nil {
		close(w.ended)
		w.ended = nil
	}
}

// watchCancel begins to watch Request.Cancel for one attempt.
func (a *attempt) watchCancel() {
	if a.req.Cancel != nil {
		a.watch = newCancelWatch(a.req)
		a.done = a.watch.stop
	}
}

// cancelsContext lets Request.Cancel end the attempt's context, for those who know nothing else.
func (a *attempt) cancelsContext() {
	if a.watch == nil {
		return
	}
	ctx, cancel := context.WithCancelCause(a.ctx)
	a.ctx = ctx
	stop := a.done
	a.done = func() { stop(); cancel(nil) }
	a.watch.ends(cancel)
}
