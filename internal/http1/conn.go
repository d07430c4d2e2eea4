package http1

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Options are the settings that all connections of one transport share. They are not changed once a Conn uses them.
type Options struct {
	// MaxHeadBytes bounds the bytes of a response's head, those of informational responses before it included.
	// 0 means 10 MiB.
	MaxHeadBytes int64
	// ResponseHeaderTimeout bounds the wait for the response's head once the request is written. 0: no bound.
	ResponseHeaderTimeout time.Duration
	// ExpectContinueTimeout is how long the body waits for "100 Continue". 0: it does not wait.
	ExpectContinueTimeout time.Duration
	// Buffers lends the connections their buffers.
	Buffers BufferPool
}

func (o *Options) maxHeadBytes() int64 {
	if o.MaxHeadBytes <= 0 {
		return 10 << 20
	}
	return o.MaxHeadBytes
}

// A Conn speaks HTTP/1.1 (RFC 9112) on one net.Conn, one exchange at a time. It reads and writes only within an
// exchange, and holds a buffer only then.
//
// An idle Conn is small: what an exchange needs beyond it is lent to it by Start, and taken back by End.
//
//	state      entered by   allows                               left by
//	idle       Init, End    Start                                Start
//	prepared   Start        filling in the Exchange, RoundTrip   RoundTrip, End
//	answered   RoundTrip    ReadBody, Detach, Hijack             End, Hijack
//
// Cancel, Turn, Aborted, AbortedIn, Begun and NetConn may be called from any goroutine. All other methods belong to the holder of the
// connection's lease; two goroutines must not call them at once.
type Conn struct {
	nc    net.Conn
	owner Owner

	*progress // owned by the lease holder, from Start to End; nil between exchanges

	// abortContext is c.abortByContext, bound by the first exchange that needs it, so that watching a context costs no closure.
	abortContext func()
	// turn is the number of the exchange shifted left by one, and in bit 0 whether it was aborted. An aborted connection is
	// not used again, or by Resume, in another turn: so a late abort can hit nobody else.
	turn atomic.Uint64
	// cause is why an exchange was aborted where it was not its context.
	cause atomic.Pointer[abortion]

	early atomic.Pointer[earlyRead] // set by the lease holder, nil where there is none

	interrupting atomic.Int32 // watches on a context and Cancels that may yet interrupt the exchange
	untimed      bool         // a deadline in the past did not end the early Read
	apart        bool         // see WriteApart
	records      bool         // nc is TLS, which has a whole record when it has anything
}

// An Owner is who a Conn belongs to.
type Owner interface {
	// Options returns the settings.
	Options() *Options
	// Aborted is called after each abort of an exchange, from whatever goroutine aborted it, possibly as the exchange ends.
	Aborted()
	// Arrived is called by RoundTrip before it reads. It reports whether the peer has sent anything, without waiting for more than
	// a moment, and may move it into the buffer by FillHead; false where there is no way to tell.
	Arrived() bool
}

// A progress is what an exchange that is under way needs.
type progress struct {
	x    Exchange
	in   input
	body responseBody
	up   *upload
}

var progresses = sync.Pool{New: func() any { return new(progress) }}

// Init makes c a Conn on nc, before anything else. The owner goes on owning nc and closes it.
func (c *Conn) Init(nc net.Conn, owner Owner) {
	c.nc, c.owner = nc, owner
	_, c.records = nc.(*tls.Conn)
	if over, ok := nc.(interface{ NetConn() net.Conn }); ok && !c.records { // a caller's own TLS
		_, c.records = over.NetConn().(*tls.Conn)
	}
}

func (c *Conn) opts() *Options { return c.owner.Options() }

// NetConn returns what the Conn is on.
func (c *Conn) NetConn() net.Conn { return c.nc }

// WriteApart makes the body of each request be written beside the wait for the response, however small it is: for a connection
// without any buffer, as net.Pipe makes them, where a server that answers before it reads would wait for us and we for it. It is
// called before the first exchange.
func (c *Conn) WriteApart() { c.apart = true }

// Start begins an exchange: it borrows a buffer and returns the empty Exchange for the caller to fill in. Every Start
// is followed by one End or Hijack.
func (c *Conn) Start() *Exchange {
	c.progress = progresses.Get().(*progress)
	c.in.buf = c.opts().Buffers.get()
	return &c.x
}

// Started reports whether there is an exchange to end.
func (c *Conn) Started() bool { return c.progress != nil }

// End ends the exchange and reports whether the connection may carry another one: the request is wholly written,
// the response wholly read and not begun before the request's head was written, nothing came after it, both sides keep the
// connection alive, and nobody aborted. It returns the buffer, unless a detached body took it along, and forgets the request.
func (c *Conn) End() (reusable bool) {
	reusable = c.body.done && c.KeepAlive() && !c.x.tooSoon && c.in.empty() && c.in.err == nil && c.early.Load() == nil
	if c.x.stop != nil && !c.stopped(c.x.stop()) {
		reusable = false // the abort runs now or ran before
	}
	if c.up != nil && !c.up.finish(reusable) {
		reusable = false
	}
	if c.x.timer != nil {
		c.x.timer.Stop()
	}
	c.in.release()
	done := c.x.Done
	*c.progress = progress{}
	progresses.Put(c.progress)
	c.progress = nil
	turn := c.turn.Load()
	// Either the next turn begins here, or an abort of this one came first; an abort that comes later finds
	// another turn.
	inTime := turn&aborted == 0 && c.turn.CompareAndSwap(turn, turn+nextTurn)
	if done != nil {
		done()
	}
	return inTime && reusable
}

// Hijack ends the exchange and gives the connection's bytes to the caller: rest is what was received and not yet
// read. The caller owns the net.Conn from now on, and nothing but Turn, Cancel and Cause is to be used; Exchange.Done is not
// called. ok is false if the exchange was aborted: then the connection is good for nothing.
//
// A request body that is still being sent goes on: the request must be complete before its connection can speak another
// protocol (RFC 9110 section 7.8), and that of a CONNECT is the way to the target. It ends with
// its End.
func (c *Conn) Hijack() (rest []byte, up Upload, ok bool) {
	rest = append(rest, c.in.unread()...)
	if e := c.early.Load(); e != nil && e.isDone() {
		rest = append(rest, e.got...)
		c.forgetEarly()
	}
	ok = c.Unwatch()
	if ok {
		up.up, c.up = c.up, nil
	}
	c.x.Done = nil
	c.End()
	return rest, up, ok
}

// An Upload is a request body that is still being sent on a hijacked connection.
type Upload struct{ up *upload }

// End ends what Hijack left running, once the caller has closed the net.Conn, and closes the request's body.
func (u Upload) End() {
	if u.up != nil && !u.up.isDone() {
		u.up.c.blame(u.up.c.Turn(), net.ErrClosed)
		u.up.cut()
	}
}

const (
	aborted     = 1 // bit 0 of turn
	nextTurn    = 2
	resumedTurn = 1 << 40 // of an exchange that had a turn before, which is not counted once more
)

// An abortion is the cause of the end of one turn.
type abortion struct {
	turn  uint64
	cause error
}

// past is a deadline that ends every blocked call.
var past = time.Unix(1, 0)

// Turn identifies the exchange in progress for Cancel.
func (c *Conn) Turn() uint64 { return c.turn.Load() &^ aborted }

// Begun returns how many exchanges were begun, where it is known whether one is in progress. It may be called from any goroutine.
func (c *Conn) Begun(inProgress bool) int64 {
	turn := c.turn.Load() % resumedTurn
	if inProgress {
		turn |= aborted // which counts already: an abort may come before the end, and then there is no next turn
	}
	return int64(turn+aborted) / nextTurn
}

// Cancel aborts the exchange that Turn told of, for the given cause, and reports whether it was still in progress.
// It may be called from any goroutine at any time and never hits a later exchange.
func (c *Conn) Cancel(turn uint64, cause error) bool {
	c.blame(turn, cause)
	c.interrupting.Add(1)
	hit := c.turn.CompareAndSwap(turn, turn|aborted)
	if hit {
		c.interrupt()
	}
	c.interrupting.Add(-1)
	if hit {
		c.owner.Aborted()
	}
	return hit
}

// fail aborts the exchange from within it, by its upload or one of its timers.
func (c *Conn) fail(cause error) {
	c.blame(c.Turn(), cause)
	c.abort()
}

// blame keeps the first cause given for a turn, and not that of an earlier one, whose Cancel may come late. It comes before
// the abort, so that whoever sees the abort finds it.
func (c *Conn) blame(turn uint64, cause error) {
	for old := c.cause.Load(); old == nil || old.turn < turn; old = c.cause.Load() {
		if c.cause.CompareAndSwap(old, &abortion{turn, cause}) {
			return
		}
	}
}

// abortByContext is what the end of the exchange's context does.
func (c *Conn) abortByContext() {
	c.turn.Or(aborted)
	c.interrupt()
	c.interrupting.Add(-1)
	c.owner.Aborted()
}

// stopped notes the end of the watch on the exchange's context, which a stop function has returned.
func (c *Conn) stopped(inTime bool) bool {
	if inTime {
		c.interrupting.Add(-1)
	}
	return inTime
}

// abort ends whatever the exchange is blocked in. It is called from within the exchange.
func (c *Conn) abort() {
	c.turn.Or(aborted)
	c.interrupt()
	c.owner.Aborted()
}

func (c *Conn) interrupt() {
	if e := c.early.Load(); e != nil {
		e.leave()
	}
	Interrupt(c.nc)
}

// Interrupt ends every blocked call on a connection. One without deadlines is closed for it, beneath TLS, and in a goroutine of its own:
// either Close may wait.
func Interrupt(nc net.Conn) {
	if nc.SetDeadline(past) == nil {
		return
	}
	if tc, ok := nc.(*tls.Conn); ok {
		nc = tc.NetConn()
	}
	go func() { _ = nc.Close() }()
}

// Unwatch stops watching the exchange's context and reports whether it came in time. What is read after the caller
// closed the body is no longer the request's business.
func (c *Conn) Unwatch() bool {
	stop := c.x.stop
	c.x.stop = nil
	return (stop == nil || c.stopped(stop())) && !c.Aborted()
}

// AbortedIn reports whether the exchange of a turn is in progress and was aborted.
func (c *Conn) AbortedIn(turn uint64) bool { return c.turn.Load() == turn|aborted }

// Aborted reports whether the exchange was aborted.
func (c *Conn) Aborted() bool { return c.turn.Load()&aborted != 0 }

// SetReadDeadline bounds the reads of the exchange in progress; the zero time removes the bound. An abort wins over
// it in either order: it either finds the deadline set and replaces it, or is seen here afterwards.
func (c *Conn) SetReadDeadline(t time.Time) error {
	err := c.nc.SetReadDeadline(t)
	if c.Aborted() {
		c.interrupt()
	}
	return err
}

// Cause returns why the exchange in progress was aborted, nil if it was not.
func (c *Conn) Cause() error {
	if !c.Aborted() {
		return nil
	}
	return c.abortCause()
}

func (c *Conn) abortCause() error {
	if p := c.cause.Load(); p != nil && p.turn == c.Turn() {
		return p.cause
	}
	return context.Cause(c.x.Ctx)
}
