package transport

import (
	"sync/atomic"
	"time"
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

// watchBodies sees to it that a sweep will come, after a body was opened.
func (c *core) watchBodies() {
	if c.watchman.after > 0 && !c.watchman.armed.Load() && c.watchman.armed.CompareAndSwap(false, true) {
		time.AfterFunc(c.watchman.after, c.sweep)
	}
}

// sweepsPerTimeout bounds how often bodies are looked at, and with it how late one is found.
const sweepsPerTimeout = 16

// sweep is the timer's function: it deals with the bodies that were forgotten, and sets the timer for the next to be.
func (c *core) sweep() {
	w := &c.watchman
	next, any := w.after, false
	for _, s := range c.bodies.streams() {
		unread, _ := s.unread()
		switch {
		case unread < w.after:
			next, any = min(next, w.after-unread), true
		case w.take:
			s.reclaim(Forgotten)
		default:
			any = true
			s.reportOnce(Forgotten)
		}
	}
	if any {
		time.AfterFunc(max(next, w.after/sweepsPerTimeout), c.sweep)
		return
	}
	w.armed.Store(false)
	if len(c.bodies.streams()) > 0 {
		c.watchBodies() // one that was opened since has seen the timer set
	}
}

// unread tells for how long no Read has been in progress, and if the body is open at all.
func (s *stream) unread() (d time.Duration, open bool) {
	if s.writing.Load() > 0 || !s.mu.TryLock() {
		return 0, true // a WriteTo or a Read
	}
	open = !s.ended && !s.absorbed
	s.mu.Unlock()
	s.endIfAsked() // by somebody who found mu taken
	return s.core.clock() - time.Duration(s.lastRead.Load()), open
}

// wrote notes the end of a WriteTo, which counts as a Read.
func (s *stream) wrote() {
	s.lastRead.Store(int64(s.core.clock()))
	s.writing.Add(-1)
}

// clock returns the time since the core was made.
func (c *core) clock() time.Duration { return time.Since(c.began) }
