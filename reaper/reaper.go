package reaper

import (
	"net"
	"sync"
	"syscall"
)

// A Reaper watches connections for their peer's hang-up, with one goroutine for all of them, which exists while there is a connection to
// watch. The zero value is ready to use. A Reaper is safe for concurrent use and must not be copied.
type Reaper struct {
	mu      sync.Mutex // guards the fields below
	poller  *poller    // nil while nothing is watched
	watches map[uint64]*Watch
	next    uint64
}

// Watch calls onHangup once when conn's peer hangs up, with [ErrHangup] for a FIN and [ErrReset] for a reset, from the reaper's
// goroutine: it must not block. A hang-up that came before Watch counts. Closing conn ends its
// watch without a call; Stop frees what is left of it.
//
// The error wraps [errors.ErrUnsupported] where conn has no descriptor or the system no means; another error is that of the system,
// such as too many open files.
func (r *Reaper) Watch(conn net.Conn, onHangup func(error)) (*Watch, error) {
	raw, err := rawConn(conn)
	if err != nil {
		return nil, err
	}
	w := &Watch{reaper: r, raw: raw, onHangup: onHangup}
	p, err := r.enter(w)
	if err != nil {
		return nil, err
	}
	if err := control(raw, func(fd uintptr) error { return p.add(fd, w.id) }); err != nil {
		r.leave(w)
		return nil, err
	}
	return w, nil
}

// control runs f on the descriptor of raw.
func control(raw syscall.RawConn, f func(fd uintptr) error) error {
	var err error
	if cerr := raw.Control(func(fd uintptr) { err = f(fd) }); cerr != nil {
		return cerr
	}
	return err
}

// enter adds w to those watched and returns the poller, started if w is the first.
func (r *Reaper) enter(w *Watch) (*poller, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.poller == nil {
		p, err := newPoller()
		if err != nil {
			return nil, err
		}
		r.poller, r.watches = p, map[uint64]*Watch{}
		go r.run(p)
	}
	r.next++
	w.id, w.poller = r.next, r.poller
	r.watches[w.id] = w
	return r.poller, nil
}

// leave takes w out, and ends the poller after the last one. It reports whether w was still in.
func (r *Reaper) leave(w *Watch) bool {
	r.mu.Lock()
	in := r.watches[w.id] == w
	var last *poller
	if in {
		delete(r.watches, w.id)
		if len(r.watches) == 0 {
			last, r.poller, r.watches = r.poller, nil, nil
		}
	}
	r.mu.Unlock()
	if last != nil {
		last.close()
	}
	return in
}

// run is the reaper's goroutine. It parks in Go's own poller and ends when its poller is closed.
func (r *Reaper) run(p *poller) {
	_ = p.wait(func(id uint64, err error) {
		r.mu.Lock()
		w := r.watches[id]
		r.mu.Unlock()
		if w != nil { // else it was stopped since
			w.hungUp(err)
		}
	})
}
