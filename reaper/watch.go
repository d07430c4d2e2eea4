package reaper

import (
	"sync/atomic"
	"syscall"
)

// A Watch is one connection under watch. Its methods are safe for concurrent use.
type Watch struct {
	reaper *Reaper // kept reachable: when it is not, its watches end
	reg    *registration

	stopped atomic.Bool
}

// Err returns nil, [ErrHangup] or [ErrReset]: the first that was noticed, for ever after. It is set before onHangup
// is called, and costs one atomic load. After Stop it does not change: nil then means that onHangup was not called
// and never will be, anything else that its call has begun.
//
// A reset that a Read, Write or probe of the connection came upon first is taken out of the socket by it; what remains
// looks like a FIN.
func (w *Watch) Err() error {
	switch w.reg.state.Load() {
	case hungUp:
		return ErrHangup
	case wasReset:
		return ErrReset
	}
	return nil
}

// Stop ends the watch. After it has returned no call of onHangup begins; one that has begun, which Err tells, may
// still be running, since Stop does not wait for it. Stop may be called from within onHangup, and before or after the
// connection is closed: a connection that lives on is unregistered. Only the first call has an effect; one that runs
// beside it may return a little sooner.
func (w *Watch) Stop() {
	if !w.stopped.CompareAndSwap(false, true) {
		return
	}
	g := w.reg
	g.state.CompareAndSwap(watching, stopped)
	g.unregister()
	g.core.remove(g.id)
}

// The states of a registration. The first step decides between a hang-up and a Stop that come together, and none
// follows it:
//
//	watching ──event──► hungUp | wasReset    onHangup is called
//	watching ──Stop───► stopped              it is not
const (
	watching int32 = iota
	stopped
	hungUp
	wasReset
)

// A registration is what the core knows of a watch.
type registration struct {
	core     *core
	raw      syscall.RawConn
	onHangup func(error)
	state    atomic.Int32

	// Set by core.enter.
	id     uint64 // never a descriptor: those are used again
	poller *poller
}

func (g *registration) register() error {
	return control(g.raw, func(fd uintptr) error { return g.poller.add(fd, g.id) })
}

// unregister makes the kernel forget the connection. It fails, as it may, where the kernel has done so already:
// because the connection was closed, or the poller after the last watch. Each descriptor is held while the other is
// looked up, so that no successor with the same number is hit.
func (g *registration) unregister() {
	_ = control(g.raw, g.poller.remove)
}

// fire is called by the reaper's goroutine, with ErrHangup or ErrReset.
func (g *registration) fire(err error) {
	gone := hungUp
	if err == ErrReset {
		gone = wasReset
	}
	if g.state.CompareAndSwap(watching, gone) && g.onHangup != nil {
		g.onHangup(err)
	}
}
