package reaper

import "sync/atomic"

// A Watch is one connection under watch, begun by [Reaper.Watch]. It is meant to be a field of whatever keeps the connection, so that
// a watch takes no memory beyond itself. Its methods are safe for concurrent use; it must not be copied. The zero Watch has
// noticed nothing, and may be used for one connection.
type Watch struct {
	core  *core // nil: it was not begun
	owner Owner
	id    uint64 // set by table.add
	state atomic.Uint32
}

// An Owner is told of the end of a connection.
type Owner interface {
	// HungUp is called when the peer is gone, with [ErrHangup] after its FIN, with [ErrReset] if the connection was reset. It is
	// called at most once for each watch, from the reaper's goroutine, perhaps before [Reaper.Watch] has returned. It must not block,
	// since other hang-ups wait for it; it may call every function of this package, and close the connection.
	HungUp(err error)
}

// Err returns nil, [ErrHangup] or [ErrReset]: the first that was noticed, for ever after. It is set before the owner is told, and
// costs one atomic load. After Stop it does not change: nil then means that the owner was not told and never will be; anything else
// means that it was told or is being told.
//
// If a Read, Write or probe of the connection meets a reset first, it takes the error out of the socket; what remains
// looks like a FIN.
func (w *Watch) Err() error {
	switch w.state.Load() &^ stopped {
	case hungUp:
		return ErrHangup
	case wasReset:
		return ErrReset
	}
	return nil
}

// Stop ends the watch. After it has returned no call of HungUp begins; one that has begun, as Err tells, may still be running,
// since Stop does not wait for it. Stop may be called from within HungUp, and before or after the connection is closed. A connection that
// lives on may be watched again, with another Watch. Only the first call has an effect; one that runs beside it may return a little sooner.
// On a Watch that was not begun it does nothing.
func (w *Watch) Stop() {
	if w.core == nil || w.state.Or(stopped)&stopped != 0 {
		return
	}
	w.core.remove(w.id)
}

// The states of a Watch. The first step decides between a hang-up and a Stop that come together; a Stop may
// follow a hang-up, and nothing else follows either:
//
//	watching ──event──► hungUp | wasReset    the owner is told
//	watching ──Stop───► stopped              it is not
const (
	watching uint32 = iota
	hungUp
	wasReset
	stopped = 1 << 7 // added to one of the others
)

// fire is called by the reaper's goroutine, with ErrHangup or ErrReset.
func (w *Watch) fire(err error) {
	gone := hungUp
	if err == ErrReset {
		gone = wasReset
	}
	if w.state.CompareAndSwap(watching, gone) && w.owner != nil {
		w.owner.HungUp(err)
	}
}
