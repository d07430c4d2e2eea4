package http1

import (
	"net"
	"runtime"
	"sync/atomic"
	"time"
)

// An earlyRead is a Read that begins between two exchanges and waits for whatever the peer does. Where no deadline can end it, the
// next exchange goes on waiting where it stands.
//
//	state      left when
//	listening  the Read returns: ended, and the listener is told; or Claim
//	claimed    an exchange reads, and has its result; or Listen takes it back, as the exchange did not come to that
//	ended      never
type earlyRead struct {
	state atomic.Int32
	buf   *Buffer // as large as any, as some connections lose what a Read has no room for
	begun atomic.Bool
	left  chan struct{} // capacity 1: there has been an abort
	done  chan struct{} // closed when the Read has returned; guards the fields below
	got   []byte        // not used yet
	err   error         // nil if it got anything
}

const (
	listening = iota
	claimed
	ended
)

// Listen begins a Read between two exchanges, in a goroutine that lives until the peer, Claim or a Close ends it, or takes up the
// one that the last exchange had no use for. ended is called if the Read returns before Claim, with its error, nil if the peer
// sent something.
func (c *Conn) Listen(ended func(error)) {
	if e := c.early.Load(); e != nil {
		e.takeBack(ended)
		return
	}
	c.beginEarly(listening, ended)
	runtime.Gosched() // it begins now, and sees what is there
}

func (c *Conn) beginEarly(state int32, ended func(error)) {
	e := &earlyRead{buf: c.opts().Buffers.get(), left: make(chan struct{}, 1), done: make(chan struct{})}
	e.state.Store(state)
	c.early.Store(e)
	go e.run(c.nc, ended)
}

func (e *earlyRead) run(nc net.Conn, tell func(error)) {
	e.begun.Store(true)
	n, err := ReadSomething(nc.Read, e.buf.b)
	if e.got = e.buf.b[:n]; n == 0 {
		e.err = err
	}
	close(e.done)
	e.tellOnce(tell)
}

func (e *earlyRead) takeBack(tell func(error)) {
	e.state.CompareAndSwap(claimed, listening)
	if e.isDone() {
		e.tellOnce(tell)
	}
}

// tellOnce tells the listener of the end, unless an exchange has the Read.
func (e *earlyRead) tellOnce(tell func(error)) {
	if e.state.CompareAndSwap(listening, ended) {
		tell(e.err)
	}
}

func (e *earlyRead) isDone() bool { return isClosed(e.done) }

// settle gives a Read that may only just have begun a chance to find what is there.
func (e *earlyRead) settle() {
	for n := 0; n < yields && !e.isDone(); {
		runtime.Gosched()
		if e.begun.Load() {
			n++
		}
	}
}

const (
	// yields is how often others may run until a Read should have returned what has arrived.
	yields = 10
	// interruptGrace is how long a deadline in the past may take to end a Read. Then the exchange does not wait for it any more.
	interruptGrace = 20 * time.Millisecond
)

// Listens reports whether there is a Read that Listen began.
func (c *Conn) Listens() bool { return c.early.Load() != nil }

// Claim ends the listening for an exchange that is about to start, and tells whether the Read had returned, and its error, nil if
// the peer sent something. Where no deadline can end the Read it goes on, and what it brings is the exchange's.
func (c *Conn) Claim() (heard bool, err error) {
	e := c.early.Load()
	if e == nil {
		return false, nil
	}
	e.state.CompareAndSwap(listening, claimed)
	e.settle()
	if !c.untimed && !e.isDone() {
		c.untimed = c.nc.SetReadDeadline(past) != nil || !Await(e.done, interruptGrace)
		_ = c.nc.SetReadDeadline(time.Time{})
	}
	if !e.isDone() {
		return false, nil
	}
	c.forgetEarly()
	if isTimeout(e.err) {
		return false, nil
	}
	return true, e.err
}

// HeardLate reports whether a Read that goes on after Claim has returned meanwhile.
func (c *Conn) HeardLate() bool {
	e := c.early.Load()
	return e != nil && e.isDone() && !isTimeout(e.err)
}

// forgetEarly lets go of a Read that has returned, and of its buffer.
func (c *Conn) forgetEarly() {
	c.early.Load().buf.Free()
	c.early.Store(nil)
}

// readOnce reads from the connection, from a Read that is under way first.
func (c *Conn) readOnce(p []byte) (n int, err error) {
	e := c.early.Load()
	if e == nil || len(p) == 0 {
		return c.nc.Read(p)
	}
	if !c.await(e) {
		return 0, net.ErrClosed
	}
	n, err = copy(p, e.got), e.err
	if e.got = e.got[n:]; len(e.got) > 0 {
		return n, nil
	}
	c.forgetEarly()
	if isTimeout(err) {
		return c.nc.Read(p) // the deadline that Claim set did something, in the end
	}
	return n, err
}

// await waits for a Read that is under way and reports whether it has returned: where no deadline can end it, an abort ends the wait. It
// closes the connection as well, but the Read of a caller's may outlast that: one through SSH whose server is out of reach waits for
// the server's word.
func (c *Conn) await(e *earlyRead) bool {
	if !c.untimed {
		<-e.done
		return true
	}
	// The Read shows itself before this looks for an abort, and an abort before it looks for the Read: one of the two sees the other.
	for !c.Aborted() {
		select {
		case <-e.done:
			return true
		case <-e.left: // perhaps by what aborted an exchange before
		}
	}
	return e.isDone()
}

// leave ends the wait for a Read.
func (e *earlyRead) leave() {
	select {
	case e.left <- struct{}{}:
	default:
	}
}
