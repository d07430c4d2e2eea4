package reaper

import (
	"sync/atomic"
	"syscall"
)

// A Watch is one connection under watch. Its methods are safe for concurrent use, and a copy is the same watch. The zero
// Watch is over and has noticed nothing.
type Watch struct {
	reaper *Reaper // kept reachable: when it is not, its watches end
	reg    *registration
}

// Err returns nil, [ErrHangup] or [ErrReset]: the first that was noticed, for ever after. It is set before onHangup
// is called, and costs one atomic load. After Stop it does not change: nil then means that onHangup was not called
// and never will be, anything else that its call has begun.
//
// A reset that a Read, Write or probe of the connection came upon first is taken out of the socket by it; what remains
// looks like a FIN.
func (w Watch) Err() error {
	if w.reg == nil {
		return nil
	}
	switch w.reg.state.Load() &^ stopped {
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
func (w Watch) Stop() {
	if w.reg == nil || w.reg.state.Or(stopped)&stopped != 0 {
		return
	}
	w.reaper.core.unregister(w.reg)
}

// The states of a registration. The first step decides between a hang-up and a Stop that come together; a Stop may
// follow a hang-up, and nothing else follows either:
//
//	watching ──event──► hungUp | wasReset    onHangup is called
//	watching ──Stop───► stopped              it is not
const (
	watching uint32 = iota
	hungUp
	wasReset
	stopped = 1 << 7 // added to one of the others
)

// A registration is what the core knows of a watch. It is small, as there may be many.
type registration struct {
	raw      syscall.RawConn
	onHangup func(error)
	id       uint64 // set by table.add
	state    atomic.Uint32
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
