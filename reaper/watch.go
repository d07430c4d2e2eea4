package reaper

import (
	"sync/atomic"
	"syscall"
)

// A Watch is one connection under watch.
type Watch struct {
	reaper   *Reaper
	raw      syscall.RawConn
	onHangup func(error)
	id       uint64  // never a descriptor: those are used again
	poller   *poller // where it is registered

	stopped atomic.Bool
	err     atomic.Pointer[error] // set once
}

// Err returns nil, or [ErrHangup] or [ErrReset] once the peer has hung up. It is cheap, and says so before onHangup is
// called.
func (w *Watch) Err() error {
	if err := w.err.Load(); err != nil {
		return *err
	}
	return nil
}

// Stop ends the watch: after it has returned no call of onHangup begins; one that has begun may still be running. Stop
// may be called more than once, concurrently, from within onHangup, and before or after the connection is closed.
func (w *Watch) Stop() {
	w.stopped.Store(true)
	if w.reaper.leave(w) {
		// Fails harmlessly where the connection is closed: the system has forgotten it then.
		_ = control(w.raw, func(fd uintptr) error { return w.poller.remove(fd) })
	}
}

// hungUp is called by the reaper's goroutine with what the system reported.
func (w *Watch) hungUp(err error) {
	if w.stopped.Load() || !w.err.CompareAndSwap(nil, &err) {
		return
	}
	w.onHangup(err)
}
