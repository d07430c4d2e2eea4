package http1

import (
	"errors"
	"io"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/watertight-go/watertight/internal/alarm"
)

// uploadGrace is how long the end of an exchange waits for an upload whose response is complete already. Mostly the
// last write is just returning; a server that answers early and stops reading is not waited for.
const uploadGrace = 50 * time.Millisecond

// closeGrace is how long a failed exchange waits for the caller's Read to return once the body is closed. A body
// that ignores Close keeps its goroutine in that Read; RoundTrip does not hang with it.
const closeGrace = time.Second

const sendBody = true // the argument of upload.open

// An upload writes a request body in a goroutine of its own, while the lease holder reads the response.
//
//	state      left when
//	waiting    open says to send or to drop, ExpectContinueTimeout passes, the exchange ends
//	copying    the body ends, its Read or a write fails, the exchange is aborted
//	done       (done is closed; err tells how it went)
type upload struct {
	c    *Conn
	x    Exchange // a copy: the lease holder's may be gone before the caller's Read returns
	gate chan bool
	done chan struct{}
	err  error // valid once done is closed, like lost
	lost bool  // the connection failed, not the body

	readingSince atomic.Int64 // when the Read of the body that is in progress began, in nanoseconds since 1970; 0: none is

	failed  atomic.Bool           // the body failed, and ended the exchange
	writing atomic.Bool           // a Write is in progress
	reset   atomic.Pointer[error] // what a Write said of the connection's reset; nil: nothing

	mu       sync.Mutex // guards the fields below
	opened   bool
	answered bool         // the response's head is there
	timer    *alarm.Timer // ends the wait for it
	late     error        // what it means that the timer came first
}

func newUpload(c *Conn) *upload {
	u := &upload{c: c, x: c.x, done: make(chan struct{})}
	if u.x.Expect {
		u.gate = make(chan bool, 1)
	}
	if u.isProbing() {
		u.readingSince.Store(time.Now().UnixNano()) // whoever ends the upload before it takes its turn closes the body under that Read
	}
	return u
}

// open decides whether a waiting upload is sent, and reports whether it was the first to decide.
func (u *upload) open(send bool) bool {
	u.mu.Lock()
	first := u.gate != nil && !u.opened
	u.opened = true
	u.mu.Unlock()
	if first {
		u.gate <- send
	}
	return first
}

// run sends the body. It is the upload's goroutine, and the only one that closes the body, unless that blocks it.
func (u *upload) run() {
	returns := false
	defer func() {
		if !returns {
			u.err = ErrBodyExited
			u.c.fail(u.err)
			close(u.done)
		}
	}()
	send := u.gate == nil || u.awaitLeave()
	var err error
	if send {
		err = u.send()
	}
	if cerr := u.x.Body.Close(); err == nil && send {
		err = cerr
	}
	var werr writeError
	wrote := !errors.As(err, &werr)
	if !wrote {
		err = werr.error
	}
	if t := u.x.Trace; t != nil && t.WroteRequest != nil {
		t.WroteRequest(httptrace.WroteRequestInfo{Err: err})
	}
	u.err, u.lost = err, !wrote
	switch {
	case !send:
		u.err = errNotSent
	case !wrote:
		u.boundHead(responseGrace, err) // the server may have answered before it hung up
	case err != nil && u.c.Aborted():
	case err != nil:
		u.failed.Store(true)
		u.c.fail(err)
	default:
		if d := u.c.opts().ResponseHeaderTimeout; d > 0 {
			u.boundHead(d, ErrHeadTimeout)
		}
	}
	returns = true
	close(u.done)
}

// awaitLeave blocks until "100 Continue", its timeout, or the end of the exchange.
func (u *upload) awaitLeave() (send bool) {
	timer := time.NewTimer(u.c.opts().ExpectContinueTimeout)
	defer timer.Stop()
	select {
	case send = <-u.gate:
	case <-timer.C:
		if !u.open(sendBody) {
			return <-u.gate
		}
		send = <-u.gate
	}
	return send
}

// boundHead aborts the exchange with err unless the response's head comes within d.
func (u *upload) boundHead(d time.Duration, err error) {
	u.mu.Lock()
	if !u.answered {
		u.late = err
		u.timer = alarm.AfterFunc(d, func() { u.c.fail(err) })
	}
	u.mu.Unlock()
}

// headDone ends the bound on the head and returns the bound's error if that came first. Its timer may have fired and not
// yet said so to the connection.
func (u *upload) headDone() error {
	u.mu.Lock()
	u.answered = true
	timer, late := u.timer, u.late
	u.mu.Unlock()
	if timer == nil {
		return nil
	}
	if !timer.Stop() {
		return late
	}
	u.mu.Lock()
	u.timer = nil // or the next call would take a stopped timer for one that fired
	u.mu.Unlock()
	return nil
}

// finish ends the upload with its exchange and reports whether the request was written whole. Only where the
// connection could be reused it waits a moment.
func (u *upload) finish(reusable bool) bool {
	inTime := u.headDone() == nil
	if reusable && !u.isDone() && !u.failed.Load() {
		u.awaitDone(uploadGrace)
	}
	if u.isDone() {
		return inTime && u.err == nil
	}
	u.cut()
	return false
}

// cut ends the upload without waiting for a Read that blocks. One that is about to return does so before the body is closed: whoever
// counts what is read has the sum then, and may use the body again.
func (u *upload) cut() {
	u.c.abort()
	u.open(!sendBody)
	if u.failed.Load() {
		return // the body is closed, and the upload may be who ends the exchange: it would wait for itself
	}
	patience := uploadGrace
	if since := u.readingSince.Load(); since != 0 {
		patience -= time.Duration(max(time.Now().UnixNano()-since, 0))
	}
	if patience <= 0 || !u.awaitDone(patience) {
		u.interrupt()
	}
}

// abandon ends the upload of a failed exchange and waits until it touches the request no more. It returns the error to
// tell the caller: the upload's own where that is the reason. The body is not closed beside a Write, which the abort ends sooner or later:
// no other Read begins, and the upload closes the body then.
func (u *upload) abandon(err error) error {
	aborted := u.c.Aborted()
	_ = u.headDone()
	u.c.abort()
	u.open(!sendBody)
	if !u.awaitDone(uploadGrace) {
		if u.readingSince.Load() != 0 {
			u.interrupt()
		}
		u.awaitDone(closeGrace)
	}
	switch {
	case aborted:
		return u.c.abortCause()
	case u.isDone() && u.lost:
		u.c.x.Failure = FailedWriting
		return tellsMore(u.err, err)
	}
	return err
}

// resetUnder returns the reset that the upload met, nil if it met none. It is called when a Read has met the end, which ends the upload
// as well. The system reports a reset once: if the upload was told of it, a Read sees an end that is none. After a FIN the end is one, and
// the upload's error is another.
func (u *upload) resetUnder() error {
	if u.writing.Load() {
		_ = u.c.nc.SetWriteDeadline(past)
	}
	for end := time.Now().Add(uploadGrace); u.writing.Load() && time.Now().Before(end); {
		time.Sleep(50 * time.Microsecond) // it has been told and is about to return, or waits for nothing
	}
	if err := u.reset.Load(); err != nil {
		return *err
	}
	return nil
}

// tellsMore returns why a connection failed on which a Write and a Read were in progress: the system tells the reason to one of them, and
// only that the connection is gone to the other.
func tellsMore(write, read error) error {
	var said syscall.Errno
	if errors.Is(write, syscall.EPIPE) && errors.As(read, &said) && said != syscall.EPIPE {
		return read
	}
	return write
}

// interrupt closes the body under a Read that blocks in it.
func (u *upload) interrupt() { CloseWithin(u.x.Body, uploadGrace) }

func (u *upload) awaitDone(d time.Duration) bool { return Await(u.done, d) }

// Uploading returns a channel that is closed when the request's body is no longer being sent, nil if it is not.
func (c *Conn) Uploading() <-chan struct{} {
	if c.up == nil || c.up.isDone() {
		return nil
	}
	return c.Uploaded()
}

// Uploaded returns the channel of Uploading also when that is closed; nil if the body was written with the head, or there is none.
func (c *Conn) Uploaded() <-chan struct{} {
	if c.up == nil {
		return nil
	}
	return c.up.done
}

// UploadFailed reports whether the request's body failed beside the response, and ended the exchange.
func (c *Conn) UploadFailed() bool { return c.up != nil && c.up.failed.Load() }

// sent reports whether the request was written whole, and no timer is left that could abort the exchange.
func (u *upload) sent() bool { return u.isDone() && u.err == nil && u.headDone() == nil }

func (u *upload) isDone() bool { return isClosed(u.done) }

func isClosed(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}

// Await waits for done to be closed, and reports whether it was within d. It does so in rounds: on a busy machine each of them takes as
// long as others do, those among them who are waited for.
func Await(done <-chan struct{}, d time.Duration) bool {
	const rounds = 10
	timer := time.NewTimer(d / rounds)
	defer timer.Stop()
	for range rounds {
		select {
		case <-done:
			return true
		case <-timer.C:
			timer.Reset(d / rounds)
		}
	}
	return false
}

// CloseWithin closes a body in whose Read somebody may be. That may wait for the Read, as the body of a server's request does: so
// Close has a goroutine of its own, which is waited for no longer than d.
func CloseWithin(body io.Closer, d time.Duration) {
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		_ = body.Close()
	}()
	Await(closed, d)
}

// A writeError is a failure of the connection, in contrast to one of the caller's body.
type writeError struct{ error }

func (e writeError) Unwrap() error { return e.error }
