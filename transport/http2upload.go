package transport

import (
	"context"
	"io"
	"maps"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/watertight-go/watertight/internal/http1"
)

// An http2Upload is the request's body as x/net gets it. x/net closes it even if it has sent nothing: then the caller's body stays open, for
// another attempt. Once RoundTrip has failed, the caller's body is not touched any more. It is nil if the request has no body.
type http2Upload struct {
	*requestBody
	// trailer is what is sent behind the body; the caller may fill it until the body's end.
	trailer, filled http.Header
	stuck           chan struct{} // ends x/net's RoundTrip: its Request.Cancel
	conn            *http2Conn
	exited          atomic.Bool // a Read has exited its goroutine

	mu     sync.Mutex    // guards the fields below
	over   bool          // RoundTrip has returned, or is made to
	begun  bool          // the head was written
	closed bool          // x/net closed it before that was known
	left   bool          // RoundTrip has failed
	busy   bool          // a Read is in progress
	since  time.Time     // when it began, or the last did
	usedUp bool          // the last one came to the end of a body in memory, which may be its caller's again when x/net closes it
	idle   chan struct{} // closed when that ends; nil: nobody waits
	cut    bool          // its stream has ended
	cutOff func()        // called when the Read ends that was in progress then; nil: there was none
}

// An uploadError wraps an error of the request's body for x/net. In a proxy the body may return an error of another HTTP/2 connection, which
// x/net would take for one of its own: it would close this connection, or leave the stream open.
type uploadError struct{ error }

func (e *uploadError) Unwrap() error { return e.error }

func (u *http2Upload) Read(p []byte) (int, error) {
	u.mu.Lock()
	over := u.left || u.closed || u.cut // x/net would read on after its Close, where the wait for "100 Continue" has ended in another answer
	u.busy, u.since = !over, time.Now()
	u.mu.Unlock()
	if over {
		return 0, http.ErrBodyReadAfterClose
	}
	returns := false
	defer func() {
		if !returns {
			u.exit()
		}
	}()
	n, err := u.requestBody.Read(p)
	returns = true
	usedUp := err == io.EOF && http1.IsUsedUp(u.requestBody)
	if err != nil && err != io.EOF {
		err = &uploadError{err}
	}
	u.mu.Lock()
	if err == io.EOF && !u.left && u.trailer != nil {
		maps.Copy(u.trailer, u.filled)
	}
	u.busy = false
	u.usedUp = usedUp
	if u.idle != nil {
		close(u.idle)
		u.idle = nil
	}
	cutOff := u.cutOff
	u.mu.Unlock()
	if cutOff != nil {
		cutOff()
	}
	return n, err
}

// exit ends the connection, as the body's Read has exited the goroutine of the stream, which nobody can reset any more.
func (u *http2Upload) exit() {
	u.exited.Store(true)
	u.giveUp()
	u.conn.wire.fail(http1.ErrBodyExited)
}

// Close is for x/net, whose RoundTrip waits for it, and whose stream is open until it returns. A Read that is about to return does so before the
// body is closed. One that blocks ends by that, or Close waits for the Read, as that of the body of a server's request does, or for whatever a
// caller's own does: then it is waited for no longer than readEnds.
func (u *http2Upload) Close() error {
	u.mu.Lock()
	u.closed = true
	meant, usedUp := u.begun && !u.left, u.usedUp
	var idle chan struct{}
	patience := readReturns - time.Since(u.since)
	if meant && patience > 0 {
		idle = u.idleLocked()
	}
	u.mu.Unlock()
	switch {
	case !meant:
		return nil
	case usedUp: // that does nothing
		return u.requestBody.Close()
	case idle != nil:
		http1.Await(idle, patience)
	}
	http1.CloseWithin(u.requestBody, readEnds)
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.busy && !u.over {
		time.AfterFunc(stuckFor, u.giveUp)
	}
	return nil
}

// readReturns is how long a Read may take before the body is closed under it.
const readReturns = 50 * time.Millisecond

// stuckFor is how long RoundTrip may go on when the stream has ended and Close does not end the Read that x/net waits for.
const stuckFor = 500 * time.Millisecond

// giveUp ends RoundTrip, which says then why the stream ended.
func (u *http2Upload) giveUp() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.over {
		u.over = true
		close(u.stuck)
	}
}

// returned notes that RoundTrip has returned.
func (u *http2Upload) returned() {
	if u != nil {
		u.mu.Lock()
		u.over = true
		u.mu.Unlock()
	}
}

// begin notes that the head was written. The answer may have come before, and x/net have closed the body: now that is meant. It is
// called while nothing else can be written, so whoever closes has a goroutine of its own.
func (u *http2Upload) begin() {
	if u == nil {
		return
	}
	u.mu.Lock()
	u.begun = true
	meant := u.closed && !u.left
	u.mu.Unlock()
	if meant {
		go func() { _ = u.requestBody.Close() }()
	}
}

// watchUpload has the stream end with its request, which has a response while its upload goes on. The codec sees the request's end only
// where it waits for nothing of the upload: neither for a Read nor for a window. body is the response's.
func (x *http2Exchange) watchUpload(ctx context.Context, body io.Closer) {
	w := x.conn.wire
	stop := context.AfterFunc(ctx, func() { x.cutUpload(body) })
	w.mu.Lock()
	over := x.stream.over
	if !over {
		x.uncut = stop
	}
	w.mu.Unlock()
	if over {
		stop()
		x.upload.drop()
	}
}

// drop closes the body of an upload whose stream has ended. The codec leaves it in its Read where the connection ends behind a whole
// response.
func (u *http2Upload) drop() { go func() { _ = u.Close() }() }

// cutUpload ends a stream whose request has ended.
func (x *http2Exchange) cutUpload(body io.Closer) {
	_ = body.Close() // which ends its Read, and the stream, where it is no empty one
	_ = x.upload.Close()
	x.conn.giveUp(&x.stream)
	x.conn.nudge()
}

// readEnds is how long a Read may go on after RoundTrip has failed and the body was closed, which ends most: one that is stuck
// nevertheless is not waited for.
const readEnds = 50 * time.Millisecond

// leave gives the body back to the caller.
func (u *http2Upload) leave() {
	if u == nil {
		return
	}
	u.mu.Lock()
	u.left = true
	idle := u.idleLocked()
	u.mu.Unlock()
	if idle != nil {
		http1.Await(idle, readEnds)
	}
}

// idleLocked returns what is closed when the Read that is in progress ends, nil if none is.
func (u *http2Upload) idleLocked() chan struct{} {
	if u.busy && u.idle == nil {
		u.idle = make(chan struct{})
	}
	return u.idle
}
