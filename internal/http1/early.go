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
	if c.early != nil {
		c.early.takeBack(ended)
		return
	}
	c.early = &earlyRead{buf: c.opts().Buffers.get(), done: make(chan struct{})}
	go c.early.run(c.nc, ended)
	runtime.Gosched() // it begins now, and sees what is there
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
	// interruptRounds is how often a deadline in the past is given interruptRound to end a Read. Then the exchange does not wait for it
	// any more.
	interruptRounds = 10
	interruptRound  = 2 * time.Millisecond
)

// Listens reports whether there is a Read that Listen began.
func (c *Conn) Listens() bool { return c.early != nil }

// Claim ends the listening for an exchange that is about to start, and tells whether the Read had returned, and its error, nil if
// the peer sent something. Where no deadline can end the Read it goes on, and what it brings is the exchange's.
func (c *Conn) Claim() (heard bool, err error) {
	e := c.early
	if e == nil {
		return false, nil
	}
	e.state.CompareAndSwap(listening, claimed)
	e.settle()
	if !c.untimed && !e.isDone() {
		c.untimed = c.nc.SetReadDeadline(past) != nil || !AwaitRounds(e.done, interruptRounds, interruptRound)
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
func (c *Conn) HeardLate() bool { return c.early != nil && c.early.isDone() && !isTimeout(c.early.err) }

// forgetEarly lets go of a Read that has returned, and of its buffer.
func (c *Conn) forgetEarly() {
	c.early.buf.Free()
	c.early = nil
}

// readOnce reads from the connection, from a Read that is under way first.
func (c *Conn) readOnce(p []byte) (n int, err error) {
	e := c.early
	if e == nil || len(p) == 0 {
		return c.nc.Read(p)
	}
	<-e.done
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
