package transport

import (
	"sync/atomic"
	"time"
	"weak"
)

// forgottenAfter is how long nobody reads a body until it is reported as forgotten, where LeakTimeout is 0.
const forgottenAfter = 5 * time.Minute

// A watchman looks for open bodies that nobody reads. It has one timer, and that only while bodies are open; what it measures
// is the time since the last Read ended, and while one is in progress there is none.
type watchman struct {
	after time.Duration // how long unread is forgotten; 0: never
	take  bool          // a forgotten body is reclaimed; else it is reported, and reclaimed when its connection is needed
	armed atomic.Bool   // a timer is set, or the sweep that sets it is running
}

func (t *Transport) leakTimeout() (after time.Duration, take bool) {
	switch {
	case t.LeakTimeout < 0:
		return 0, false
	case t.LeakTimeout == 0:
		return forgottenAfter, false
	}
	return t.LeakTimeout, true
}

// watchBodies sees to it that a sweep will come, after a body was opened or a Read ended.
func (c *core) watchBodies() {
	if c.watchman.after > 0 && !c.watchman.armed.Load() && c.watchman.armed.CompareAndSwap(false, true) {
		c.sweepIn(c.watchman.after)
	}
}

// sweepIn sets the timer. An open body keeps the core; the timer does not, which would have it stay for minutes where the last body has ended
// and the Transport was closed. In a bubble it does: a body that was dropped there keeps nothing, and nobody else finds it.
func (c *core) sweepIn(d time.Duration) {
	if c.bubble {
		time.AfterFunc(d, c.sweep)
		return
	}
	p := weak.Make(c)
	time.AfterFunc(d, func() {
		if c := p.Value(); c != nil {
			c.sweep()
		}
	})
}

// sweepsPerTimeout bounds how often bodies are looked at, and with it how late one is found.
const sweepsPerTimeout = 16

// sweep is the timer's function: it deals with the bodies that were forgotten, and sets the timer for the next to be.
func (c *core) sweep() {
	w := &c.watchman
	next, left := c.forget()
	if !left {
		w.armed.Store(false)
		if _, left = c.forget(); !left || !w.armed.CompareAndSwap(false, true) {
			return
		}
		// One that was opened or read since has seen the timer set.
	}
	c.sweepIn(max(next, w.after/sweepsPerTimeout))
}

// forget deals with the bodies that were forgotten. It returns how long until another may be, and whether there is one to wait
// for: one that is being read is not, the end of its Read sees to it.
func (c *core) forget() (next time.Duration, left bool) {
	w := &c.watchman
	next = w.after
	for _, s := range c.bodies.owners() {
		unread, state := s.unread()
		switch {
		case state == beingRead, state == bodyEnded, !w.take && s.isReported():
		case unread < w.after:
			next, left = min(next, w.after-unread), true
		case w.take:
			s.reclaim(Forgotten)
		default:
			s.reportOnce(Forgotten)
		}
	}
	return next, left
}

// A readState is whether somebody reads a body.
type readState uint8

const (
	unattended readState = iota
	beingRead            // by a Read or a WriteTo
	bodyEnded            // or absorbed: it holds no connection
)

// unread tells for how long nobody has been reading.
func (s *stream) unread() (time.Duration, readState) {
	if s.writing.Load() > 0 || !s.mu.TryLock() {
		return 0, beingRead
	}
	state := unattended
	if s.ended || s.absorbed || s.late != nil {
		state = bodyEnded
	}
	s.mu.Unlock()
	s.endIfAsked() // by somebody who found mu taken
	return s.core.clock() - time.Duration(s.lastReadAt()), state
}

func (s *stream) isReported() bool { return s.reported.Load() }

// lastReadAt counts who still sends the request's body as one who reads.
func (s *stream) lastReadAt() int64 { return max(s.lastRead.Load(), s.upload.at()) }

// wrote notes the end of a WriteTo, which counts as a Read.
func (s *stream) wrote() {
	s.lastRead.Store(int64(s.core.clock()))
	s.writing.Add(-1)
	s.core.watchBodies()
}

// clock returns the time since the core was made.
func (c *core) clock() time.Duration { return time.Since(c.began) }
