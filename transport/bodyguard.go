package transport

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"runtime"
	"sync"
	"time"

	"github.com/watertight-go/watertight/internal/alarm"
)

// A Guard is the body guard alone, around any [http.RoundTripper]: an instrumented one, one for HTTP/3, a test
// double. A body that its caller dropped is closed, in a goroutine of its own, and reported; with LeakTimeout so is
// one that nobody reads. It has no pool and no reaper: what Close does to the connection is up to Base.
//
// The zero value guards [http.DefaultTransport]. Fields must not be changed after the first call of a method. A Guard
// is safe for concurrent use, if Base is, and must not be copied.
type Guard struct {
	// Base sends the requests. Nil: http.DefaultTransport.
	Base http.RoundTripper
	// LeakTimeout closes a body when no Read, and no Write if it can be written to, has been in progress for this
	// long; a later Read returns a *ReclaimedError. WriteTo, which io.Copy uses, counts as a Read. 0 or negative: never.
	// Above 0 and below a microsecond it can only be a slip, and each request is refused.
	LeakTimeout time.Duration
	// OnLeak is called once per leak, in a goroutine of its own, after the body was closed. A panic in it is logged. Nil: a warning to
	// Logger, for each origin at most one a minute per stack, and 20 a minute in all; the others are counted.
	OnLeak func(Leak)
	// RedactURL returns a URL as it shall appear in logs, reports and errors; if it panics, scheme and host appear. Nil: scheme, host and path.
	RedactURL func(*url.URL) string
	// RecordStacks keeps the stack of every RoundTrip. Without it, stacks are kept for an origin after its first leak.
	RecordStacks bool
	// Logger receives the warnings; a panic in its handler loses the line. Nil: slog.Default().
	Logger *slog.Logger

	start sync.Once
	open  *register
}

var _ http.RoundTripper = (*Guard)(nil)

// RoundTrip sends req with Base and guards the response's body. The response is a copy of Base's: nothing that Base keeps may
// refer to the handle that the collector watches.
func (g *Guard) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := slip("Guard.LeakTimeout", g.LeakTimeout); err != nil {
		return nil, refuse(req, err)
	}
	resp, err := g.base().RoundTrip(req)
	awaitLegacyCancel(req.Cancel, err)
	if err != nil || resp == nil || resp.Body == nil || resp.Body == http.NoBody {
		return resp, err
	}
	return g.register().guard(req, resp, nil, g.LeakTimeout, func() {}), nil
}

// guard returns a copy of resp with a body that is looked after. ended is called when the body has ended, before it is
// closed where that is our doing. a is nil in a Guard.
func (r *register) guard(req *http.Request, resp *http.Response, a *account, timeout time.Duration, ended func()) *http.Response {
	own := new(http.Response)
	*own = *resp
	b := &guardedBody{body: resp.Body, open: r, timeout: timeout, onEnd: ended, cancel: req.Cancel}
	b.w, _ = resp.Body.(io.Writer)
	b.tunnel = b.w != nil && (resp.StatusCode == http.StatusSwitchingProtocols || req.Method == http.MethodConnect && resp.StatusCode/100 == 2)
	r.add(&b.openBody, req, a)
	b.arm()
	h := &guardedHandle{b: b, base: resp, own: own}
	if !r.bubble {
		h.cleanup.cleanup = runtime.AddCleanup(h, droppedBody, b)
	}
	own.Body = h
	if b.w != nil {
		own.Body = &guardedTunnel{h}
	}
	return own
}

// OpenBodies returns the bodies that are neither closed nor read to their end, the oldest first.
func (g *Guard) OpenBodies() []OpenBody { return g.register().list() }

// CloseIdleConnections calls that method of Base. If Base has none but a method WrappedRoundTripper, as Kubernetes' wrappers have, it
// calls that of the RoundTripper which that returns. If neither has it, it does nothing.
func (g *Guard) CloseIdleConnections() {
	rt := g.base()
	for range maxWrappers {
		switch around := rt.(type) {
		case interface{ CloseIdleConnections() }:
			around.CloseIdleConnections()
			return
		case interface{ WrappedRoundTripper() http.RoundTripper }:
			rt = around.WrappedRoundTripper()
		default:
			return
		}
	}
}

// maxWrappers bounds the walk through RoundTrippers that wrap each other, lest one that wraps itself never ends.
const maxWrappers = 32

func (g *Guard) base() http.RoundTripper {
	if g.Base != nil {
		return g.Base
	}
	return http.DefaultTransport
}

func (g *Guard) register() *register {
	g.start.Do(func() {
		g.open = &register{onLeak: g.OnLeak, redactURL: g.RedactURL, recordStacks: g.RecordStacks, logger: g.Logger, bubble: inBubble()}
	})
	return g.open
}

// A guardedBody is a body of Base's with what is known of it. It never refers to the caller's handle.
//
//	state     left when                          and then
//	open      EOF or another error of Read       ended: except for a tunnel
//	          Close                              ended
//	          dropped, or idle for the timeout   reclaimed: closed and reported, Read says so
type guardedBody struct {
	openBody
	body    io.ReadCloser
	w       io.Writer // body, if it can be written to; nil otherwise
	tunnel  bool      // it is that of an upgrade or a CONNECT, and w goes on when there is no more to read
	open    *register
	timeout time.Duration
	onEnd   func()
	cancel  <-chan struct{} // the caller's Request.Cancel: see awaitLegacyCancel

	mu    sync.Mutex // guards the fields below
	ended bool
	cause LeakCause    // why it was reclaimed; "" if it was not
	busy  int          // Reads and Writes in progress
	idle  time.Time    // since when there is none
	timer *alarm.Timer // nil while nothing is to be timed
}

// begin notes a Read or Write. On a body that was reclaimed it fails.
func (b *guardedBody) begin() error {
	b.mu.Lock()
	cause := b.cause
	if cause == "" {
		b.busy++
	}
	b.mu.Unlock()
	if cause == "" {
		return nil
	}
	return &ReclaimedError{Leak: Leak{OpenBody: b.open.describe(&b.openBody), Cause: cause}, Unread: b.timeout, LeakTimeout: b.timeout}
}

// rest notes the end of a Read or Write: the leak timeout begins anew, in the same moment, or the timer would find neither.
func (b *guardedBody) rest() {
	b.mu.Lock()
	b.busy--
	b.armLocked()
	b.mu.Unlock()
}

// arm lets the leak timeout begin, if there is one.
func (b *guardedBody) arm() {
	b.mu.Lock()
	b.armLocked()
	b.mu.Unlock()
}

func (b *guardedBody) armLocked() {
	if b.timeout <= 0 {
		return
	}
	b.idle = time.Now()
	if b.timer == nil && b.busy == 0 && !b.ended {
		b.timer = alarm.AfterFunc(b.timeout, b.expired)
	}
}

// expired is the timer's function. It runs no more often than once per timeout, however many Reads there are.
func (b *guardedBody) expired() {
	b.mu.Lock()
	left := b.timeout - time.Since(b.idle)
	switch {
	case b.ended:
	case b.busy > 0:
		b.timer = nil // rest begins anew
	case left > 0:
		b.timer.Reset(left)
	default:
		// No Read can come in between: it would find the cause.
		b.endLocked(Forgotten)
		b.mu.Unlock()
		b.leave()
		b.closeLeaked(Forgotten)
		return
	}
	b.mu.Unlock()
}

// end notes the body's end and reports whether it was the first; cause is why it is reclaimed, "" if it is not.
func (b *guardedBody) end(cause LeakCause) bool {
	b.mu.Lock()
	first := b.endLocked(cause)
	b.mu.Unlock()
	if first {
		b.leave()
	}
	return first
}

// leave tells those who want to know of the end.
func (b *guardedBody) leave() {
	b.open.remove(&b.openBody)
	b.onEnd()
}

func (b *guardedBody) endLocked(cause LeakCause) bool {
	if b.ended {
		return false
	}
	b.ended, b.cause = true, cause
	if b.timer != nil {
		b.timer.Stop()
	}
	return true
}

// droppedBody is the cleanup of a handle. Closing can block, so it is not done here.
func droppedBody(b *guardedBody) { go b.dropped() }

func (b *guardedBody) dropped() {
	if b.end(Dropped) {
		b.closeLeaked(Dropped)
	}
}

func (b *guardedBody) closeLeaked(cause LeakCause) {
	func() {
		defer b.open.survive("Close of a response body")
		_ = b.body.Close()
	}()
	b.open.report(&b.openBody, cause)
}

func (b *guardedBody) reclaimed() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.cause != ""
}

// A guardedHandle is the caller's handle on a guardedBody.
type guardedHandle struct {
	b         *guardedBody
	base, own *http.Response // Base's and the caller's
	cleanup   dropCleanup
}

// Read reads Base's body. At its end the trailer is in Base's response, and the caller's gets it.
func (h *guardedHandle) Read(p []byte) (int, error) {
	defer runtime.KeepAlive(h)
	b := h.b
	if err := b.begin(); err != nil {
		return 0, err
	}
	defer b.rest() // also after a panic of Base's
	n, err := b.body.Read(p)
	b.received.Add(int64(n))
	if err == io.EOF && h.base.Trailer != nil {
		h.own.Trailer = h.base.Trailer
	}
	if err != nil && !b.tunnel && b.end("") {
		h.cleanup.stop()
	}
	awaitLegacyCancel(b.cancel, err)
	return n, err
}

// WriteTo writes the rest of the body to w. Whoever waits for w has not forgotten the body.
func (h *guardedHandle) WriteTo(w io.Writer) (int64, error) {
	defer runtime.KeepAlive(h)
	if err := h.b.begin(); err != nil {
		return 0, err
	}
	defer h.b.rest()
	return copyBody(w, h.Read)
}

// Close closes Base's body and returns its error. After a reclaim it does nothing.
func (h *guardedHandle) Close() error {
	defer runtime.KeepAlive(h)
	h.cleanup.stop()
	if !h.b.end("") && h.b.reclaimed() {
		return nil
	}
	return h.b.body.Close()
}

// A guardedTunnel is a handle on a body that can be written to.
type guardedTunnel struct{ *guardedHandle }

var _ io.ReadWriteCloser = (*guardedTunnel)(nil)

func (t *guardedTunnel) Write(p []byte) (int, error) {
	defer runtime.KeepAlive(t.guardedHandle)
	if err := t.b.begin(); err != nil {
		return 0, err
	}
	defer t.b.rest()
	return t.b.w.Write(p)
}

// CloseWrite ends our direction, where Base's body can do that.
func (t *guardedTunnel) CloseWrite() error {
	defer runtime.KeepAlive(t.guardedHandle)
	if cw, ok := t.b.body.(interface{ CloseWrite() error }); ok {
		return cw.CloseWrite()
	}
	return errors.ErrUnsupported
}
