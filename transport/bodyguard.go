package transport

import (
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// A Guard is the body guard alone, around any [http.RoundTripper]: an instrumented one, one for HTTP/3, a test double. A body
// that its caller dropped is closed, in a goroutine of its own, and reported; with LeakTimeout so is one that nobody
// reads. It has no pool and no reaper: what Close does to the connection is up to Base.
//
// The zero value guards [http.DefaultTransport]. Fields must not be changed after the first request. A Guard is safe
// for concurrent use and must not be copied.
type Guard struct {
	// Base sends the requests. Nil: http.DefaultTransport.
	Base http.RoundTripper
	// LeakTimeout closes a body that no Read was in progress on for this long. 0 or negative: never.
	LeakTimeout time.Duration
	// OnLeak is called once per leak, after the body was closed. Nil: one warning to Logger per leak, rate-limited per origin.
	OnLeak func(Leak)
	// RedactURL tells how URLs appear. Nil: scheme, host and path.
	RedactURL func(*url.URL) string
	// RecordStacks keeps the stack of every RoundTrip. Without it, stacks are kept for an origin after its first leak.
	RecordStacks bool
	// Logger receives the warnings; nil: slog.Default().
	Logger *slog.Logger

	start sync.Once
	open  *register
}

var _ http.RoundTripper = (*Guard)(nil)

// RoundTrip sends req with Base and guards the response's body. The response is a copy of Base's: what Base keeps of its
// own must not reach the handle that the collector watches.
func (g *Guard) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := g.base().RoundTrip(req)
	if err != nil || resp == nil || resp.Body == nil || resp.Body == http.NoBody {
		return resp, err
	}
	b := &guardedBody{body: resp.Body, open: g.register(), timeout: g.LeakTimeout}
	b.open.add(&b.openBody, req)
	b.arm()
	own := new(http.Response)
	*own = *resp
	h := &guardedHandle{b: b}
	h.cleanup = runtime.AddCleanup(h, droppedBody, b)
	own.Body = h
	if rw, ok := resp.Body.(io.ReadWriteCloser); ok {
		own.Body = &guardedTunnel{guardedHandle: h, w: rw}
	}
	return own, nil
}

// OpenBodies returns the bodies that are neither closed nor read to their end, the oldest first.
func (g *Guard) OpenBodies() []OpenBody { return g.register().list() }

// CloseIdleConnections does so with Base, if Base can.
func (g *Guard) CloseIdleConnections() {
	if ci, ok := g.base().(interface{ CloseIdleConnections() }); ok {
		ci.CloseIdleConnections()
	}
}

func (g *Guard) base() http.RoundTripper {
	if g.Base != nil {
		return g.Base
	}
	return http.DefaultTransport
}

func (g *Guard) register() *register {
	g.start.Do(func() {
		g.open = &register{onLeak: g.OnLeak, redactURL: g.RedactURL, recordStacks: g.RecordStacks, logger: g.Logger}
	})
	return g.open
}

// A guardedBody is a body of Base's with what is known of it. It never refers to the caller's handle.
type guardedBody struct {
	openBody
	body    io.ReadCloser
	open    *register
	timeout time.Duration

	ended   atomic.Bool
	reading atomic.Int32 // Reads in progress

	mu    sync.Mutex // guards timer
	timer *time.Timer
}

// end notes the body's end and reports whether it was the first.
func (b *guardedBody) end() bool {
	if b.ended.Swap(true) {
		return false
	}
	b.mu.Lock()
	if b.timer != nil {
		b.timer.Stop()
	}
	b.mu.Unlock()
	b.open.remove(&b.openBody)
	return true
}

// arm starts the leak timeout anew, if there is one.
func (b *guardedBody) arm() {
	if b.timeout <= 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.ended.Load():
	case b.timer == nil:
		b.timer = time.AfterFunc(b.timeout, b.forgotten)
	default:
		b.timer.Reset(b.timeout)
	}
}

// forgotten is the timer's function. A Read in progress arms it again when it returns.
func (b *guardedBody) forgotten() {
	if b.reading.Load() == 0 {
		b.reclaim(Forgotten)
	}
}

// droppedBody is the cleanup of a handle. Closing can block, so it is not done here.
func droppedBody(b *guardedBody) { go b.reclaim(Dropped) }

func (b *guardedBody) reclaim(cause LeakCause) {
	if !b.end() {
		return
	}
	_ = b.body.Close()
	b.open.report(&b.openBody, cause)
}

// A guardedHandle is the caller's handle on a guardedBody.
type guardedHandle struct {
	b       *guardedBody
	cleanup runtime.Cleanup
}

func (h *guardedHandle) Read(p []byte) (int, error) {
	defer runtime.KeepAlive(h)
	b := h.b
	b.reading.Add(1)
	n, err := b.body.Read(p)
	b.received.Add(int64(n))
	if b.reading.Add(-1) == 0 {
		b.arm()
	}
	if err != nil && b.end() {
		h.cleanup.Stop()
	}
	return n, err
}

// Close closes Base's body and returns its error.
func (h *guardedHandle) Close() error {
	defer runtime.KeepAlive(h)
	h.b.end()
	h.cleanup.Stop()
	return h.b.body.Close()
}

// A guardedTunnel is a handle on a body that can be written to, that of a 101 response.
type guardedTunnel struct {
	*guardedHandle
	w io.Writer
}

func (t *guardedTunnel) Write(p []byte) (int, error) {
	defer runtime.KeepAlive(t.guardedHandle)
	return t.w.Write(p)
}
