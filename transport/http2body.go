package transport

import (
	"bytes"
	"context"
	"io"
	"maps"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/watertight-go/watertight/internal/http1"
)

// An http2Body is the guard of a body that comes on a stream of HTTP/2. What nobody reads of it fills the window of its connection,
// which all streams there share.
//
//	end         who                       the stream
//	EOF         the caller's Read         has ended
//	error       the caller's Read         has ended
//	close       the caller's Close        reset, and what was not read given back to the window
//	dropped     the collector             likewise, and reported
//	forgotten   a sweep, or a rescue      likewise, and reported
//
// One whose stream has ended before its caller is done is apart: it holds nothing but a part of the window, and is not reported.
// The sweep takes what is left of it into memory.
//
// The caller holds an http2Handle, which refers to this. Nothing that this is reachable from refers to the handle.
type http2Body struct {
	openBody
	conn   *http2Conn
	stream *http2Stream
	ctx    context.Context // of the attempt
	done   func()          // ends the watch on Request.Cancel
	cancel <-chan struct{} // the caller's Request.Cancel: see awaitLegacyCancel

	reported atomic.Bool
	over     atomic.Bool  // err is set, or about to be
	lastRead atomic.Int64 // when the last Read ended that was not the last, by the core's clock
	upload   *outgoing    // of the request's body, behind the response; nil: it was sent
	writing  atomic.Int32 // WriteTos in progress

	// reading is held during a Read, and else by who takes the rest into memory.
	reading sync.Mutex
	src     io.Reader // of the stream, or of memory
	left    int64     // of what was announced; below 0: nothing was
	zip     *gunzip   // decompresses src; nil: that is as it came
	taken   bool      // from the stream; guarded by reading

	body io.ReadCloser // the stream's

	mu     sync.Mutex // guards the fields below
	err    error      // what a Read after the end returns; nil before it
	closed bool       // by the caller
}

// newBody guards the body of base, which becomes that of own. rest is what is to be read of it, where that is not the stream.
func (x *http2Exchange) newBody(a *attempt, s *http2Stream, base, own *http.Response, rest io.Reader) {
	c, w := x.conn.core, x.conn.wire
	b := &http2Body{conn: x.conn, stream: s, ctx: a.ctx, done: a.done, cancel: a.req.Cancel, body: base.Body, src: base.Body, left: x.length, upload: a.body.watch(c)}
	b.owner = b
	if x.unzips {
		b.zip = &gunzip{src: asItCame{b}}
	}
	b.reading.Lock() // nobody takes it for forgotten before all this is done
	defer func() {
		b.reading.Unlock()
		c.watchBodies()
	}()
	if rest != nil {
		b.src, b.taken = rest, true
	}
	h := &http2Handle{b: b, base: base, own: own}
	if !c.bubble {
		h.cleanup.cleanup = runtime.AddCleanup(h, (*http2Body).dropped, b)
	}
	own.Body, own.Trailer = h, maps.Clone(base.Trailer) // whose values may come before the caller has read to the end
	c.bodies.add(&b.openBody, a.req, x.conn.account)
	b.lastRead.Store(int64(b.at.Sub(c.began)))
	w.mu.Lock()
	apart := s.over
	if !apart {
		x.body = b
	}
	w.mu.Unlock()
	if apart {
		b.setApart()
	}
}

// asItCame reads a body without decompressing it.
type asItCame struct{ b *http2Body }

func (r asItCame) Read(p []byte) (int, error) { return r.b.readRaw(p) }

// readRaw reads what was announced, and then a byte at a time: of a Read that finds more the codec gives nothing back to the window.
func (b *http2Body) readRaw(p []byte) (int, error) {
	if b.left >= 0 && b.left < int64(len(p)) {
		p = p[:max(b.left, 1)]
	}
	n, err := b.src.Read(p)
	if b.left >= 0 {
		b.left -= int64(n)
	}
	return n, err
}

func (b *http2Body) read(p []byte) (int, error) {
	b.reading.Lock()
	if err := b.ended(); err != nil {
		b.reading.Unlock()
		awaitLegacyCancel(b.cancel, err)
		return 0, err
	}
	var n int
	var err error
	if b.zip != nil {
		n, err = b.zip.Read(p)
	} else {
		n, err = b.readRaw(p)
	}
	b.received.Add(int64(n))
	if err != nil {
		b.over.Store(true) // or a sweep would take it for unattended
		b.reading.Unlock()
		return n, b.finish(err)
	}
	b.lastRead.Store(int64(b.conn.core.clock()))
	b.reading.Unlock()
	b.conn.core.watchBodies() // with reading free: a sweep that found it taken relies on this
	return n, nil
}

// finish ends the body with what a Read of the stream said, and returns what the caller's Read says.
func (b *http2Body) finish(err error) error {
	if err != io.EOF {
		b.conn.giveUp(b.stream)
		go func() { _ = b.body.Close() }() // what cannot be decompressed, or is more than was announced, has not ended, nor all been read
	}
	switch {
	case err == io.EOF:
		b.conn.wire.readToEnd(b.stream)
	case b.ctx.Err() != nil:
		err = context.Cause(b.ctx)
	default:
		err = b.conn.explain(b.method, &b.url, err)
	}
	_, err = b.end(err)
	awaitLegacyCancel(b.cancel, err)
	return err
}

// ended returns what a Read after the end returns, nil before it.
func (b *http2Body) ended() error {
	if !b.over.Load() {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

// end notes the body's end, and reports whether it was the first; else it returns what the first one said.
func (b *http2Body) end(err error) (first bool, _ error) {
	b.mu.Lock()
	if first = b.err == nil; first {
		b.err = err
		b.over.Store(true)
	}
	err = b.err
	b.mu.Unlock()
	if first {
		b.conn.core.bodies.remove(&b.openBody)
		b.done()
	}
	return first, err
}

// close is the caller's Close. A Read in progress ends at once.
func (b *http2Body) close() {
	b.mu.Lock()
	again := b.closed
	b.closed = true
	was := b.err
	if was == nil || was == io.EOF {
		b.err = http.ErrBodyReadAfterClose
		b.over.Store(true)
	}
	b.mu.Unlock()
	if again {
		return
	}
	if was == nil {
		b.conn.core.bodies.remove(&b.openBody)
	}
	if b.zip != nil && b.reading.TryLock() { // or a Read in progress does it
		b.zip.end()
		b.reading.Unlock()
	}
	if was == nil || !b.apart.Load() {
		b.shut() // an upload may still be going on where the response has ended
	}
	b.done()
}

// shut lets the stream end. That needs the connection to take what is written, and goes on without its caller where it does not.
func (b *http2Body) shut() {
	b.conn.giveUp(b.stream)
	ended := make(chan struct{})
	go func() {
		_ = b.body.Close()
		close(ended)
	}()
	http1.Await(ended, b.conn.core.settings.drainTimeout())
}

// dropped is the cleanup of an http2Handle that the caller let go of. It does no input or output.
func (b *http2Body) dropped() {
	collections.found.Add(1)
	go b.reclaim(Dropped)
}

// reclaim takes the stream back from a body that leaked, and reports it. It does nothing while a Read is in progress, and tells
// whether it was the end.
func (b *http2Body) reclaim(cause LeakCause) bool {
	if cause == Forgotten && b.apart.Load() {
		go b.takeRest()
		return false
	}
	core := b.conn.core
	err := &ReclaimedError{
		Leak:        Leak{OpenBody: core.bodies.describe(&b.openBody), Cause: b.leakCause(cause)},
		Unread:      core.clock() - time.Duration(b.lastReadAt()),
		LeakTimeout: core.settings.LeakTimeout,
	}
	if cause == Dropped {
		b.reading.Lock() // nobody is left who reads
	} else if !b.reading.TryLock() {
		return false
	}
	apart := b.apart.Load()
	first, _ := b.end(err)
	b.reading.Unlock()
	if first {
		go b.closeLeaked(err.Cause, apart)
	}
	return first
}

// closeLeaked closes a body that leaked, which may take its time, and reports it.
func (b *http2Body) closeLeaked(cause LeakCause, apart bool) {
	b.conn.giveUp(b.stream)
	_ = b.body.Close()
	if !apart && !b.reported.Swap(true) {
		b.conn.core.bodies.report(&b.openBody, cause)
	}
}

func (b *http2Body) leakCause(cause LeakCause) LeakCause {
	if b.conn.peerGone() {
		return HungUp
	}
	return cause
}

// reportOnce reports a leak, in a goroutine of its own.
func (b *http2Body) reportOnce(cause LeakCause) {
	switch {
	case b.apart.Load():
		go b.takeRest()
	case !b.reported.Swap(true):
		go b.conn.core.bodies.report(&b.openBody, b.leakCause(cause))
	}
}

// takeRest takes what has arrived of a body whose stream has ended into memory, as it came, so that the window is whole again. The
// caller reads on as if nothing had happened.
func (b *http2Body) takeRest() {
	if !b.reading.TryLock() {
		return
	}
	defer b.reading.Unlock()
	if b.taken || b.ended() != nil {
		return
	}
	rest, err := io.ReadAll(b.body)
	b.src, b.taken = bytes.NewReader(rest), true
	if err != nil {
		b.src = io.MultiReader(b.src, failingReader{err})
	}
}

// A failingReader is the end of a body that was cut off.
type failingReader struct{ err error }

func (r failingReader) Read([]byte) (int, error) { return 0, r.err }

// wrote notes the end of a WriteTo, which counts as a Read.
func (b *http2Body) wrote() {
	if !b.over.Load() {
		b.lastRead.Store(int64(b.conn.core.clock()))
	}
	b.writing.Add(-1)
	b.conn.core.watchBodies()
}

func (b *http2Body) isReported() bool { return b.reported.Load() }

func (b *http2Body) lastReadAt() int64 { return max(b.lastRead.Load(), b.upload.at()) }

// unread tells for how long nobody has been reading.
func (b *http2Body) unread() (time.Duration, readState) {
	if b.writing.Load() > 0 || !b.reading.TryLock() {
		return 0, beingRead
	}
	state := unattended
	if b.taken || b.over.Load() {
		state = bodyEnded
	}
	b.reading.Unlock()
	return b.conn.core.clock() - time.Duration(b.lastReadAt()), state
}

// An http2Handle is the caller's handle on an http2Body. Each method keeps it alive to its end: see streamBody.
type http2Handle struct {
	b         *http2Body
	base, own *http.Response // x/net's, whose Trailer is filled at the end, and the caller's
	cleanup   dropCleanup
}

var (
	_ io.ReadCloser = (*http2Handle)(nil)
	_ io.WriterTo   = (*http2Handle)(nil)
)

func (h *http2Handle) Read(p []byte) (int, error) {
	defer runtime.KeepAlive(h)
	n, err := h.b.read(p)
	if err != nil {
		h.cleanup.stop()
		if err == io.EOF {
			fillTrailer(h.own, h.base.Trailer)
		}
	}
	return n, err
}

// WriteTo writes the rest of the body to w. Whoever waits for w has not forgotten the body.
func (h *http2Handle) WriteTo(w io.Writer) (int64, error) {
	defer runtime.KeepAlive(h)
	b := h.b
	b.writing.Add(1)
	defer b.wrote()
	return copyBody(w, h.Read)
}

// Close ends the body, and its stream if that goes on; later Reads return http.ErrBodyReadAfterClose. It may be called more than
// once, and during a Read, which it ends. It always returns nil.
func (h *http2Handle) Close() error {
	defer runtime.KeepAlive(h)
	h.cleanup.stop()
	h.b.close()
	return nil
}
