// Package alarm has timers that let go of what they refer to once they are stopped.
//
// The runtime may keep a timer of package time that was stopped, and with it all that its function refers to, for as long as it was set
// for: it takes such timers out of its heap sooner only in some cases, for example where more than a quarter of all are stopped.
package alarm

import (
	"sync/atomic"
	"time"
)

// A Timer calls a function in a goroutine of its own.
type Timer struct {
	timer *time.Timer
	f     atomic.Pointer[func()] // nil: it was stopped
}

// AfterFunc returns a Timer that calls f after d.
func AfterFunc(d time.Duration, f func()) *Timer {
	t := new(Timer)
	t.f.Store(&f)
	t.timer = time.AfterFunc(d, t.ring)
	return t
}

func (t *Timer) ring() {
	if f := t.f.Load(); f != nil {
		(*f)()
	}
}

// Reset has the function called after d, and not when it would have been. It must not be called after Stop.
func (t *Timer) Reset(d time.Duration) {
	t.timer.Reset(d)
}

// Stop forgets the function. It reports false if the time had come before, or if t was stopped before: then a call of the function may
// have begun.
func (t *Timer) Stop() bool {
	t.f.Store(nil)
	return t.timer.Stop()
}
