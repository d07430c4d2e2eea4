package reaper

import (
	"errors"
	"fmt"
	"net"
	"runtime"
	"sync"
	"syscall"
)

// A Reaper watches connections for their peer's hang-up, with one registration in the kernel for each and one
// goroutine for all of them. The zero value is ready to use. A Reaper is safe for concurrent use and must not be
// copied after its first Watch.
//
// There is nothing to close: the goroutine and the descriptors begin with the first watch and end with the last one,
// and begin anew with the next. When the Reaper is not reachable any more, its watches end by themselves, so that a
// forgotten Reaper leaves nothing behind. Keep the Reaper for as long as you want to be told.
type Reaper struct {
	once sync.Once
	core *core // set by once
}

// Watch begins w, which tells owner when the peer of conn is gone, or was gone already. Bytes that arrive are not told, and
// neither is a Close or CloseWrite on this side. A CloseRead on this side cannot be told from the peer's FIN: call Stop before it. If owner is
// nil, only [Watch.Err] tells.
//
// The watch is over after the hang-up, with Stop, or when conn is closed. Call Stop in each of these cases: until then the Reaper keeps w, and
// the object of which it is a field. A connection must not have two watches at a time: the second takes the place of the first,
// which notices nothing any more.
//
// The error wraps [errors.ErrUnsupported] if conn has no descriptor or the system cannot watch, and [net.ErrClosed]
// if conn was closed. A w that was used before is refused, even after its end. Any other error is the system's:
// [syscall.EMFILE] and [syscall.ENFILE] when the first watch finds no descriptor left, [syscall.ENOSPC] when the user's
// limit on watches is reached. After an error w is as it was.
func (r *Reaper) Watch(w *Watch, conn net.Conn, owner Owner) error {
	if w.core != nil {
		return errUsed
	}
	raw, err := rawConn(conn)
	if err != nil {
		return err
	}
	w.core, w.owner = r.ready(), owner
	if err := w.core.add(w, raw); err != nil {
		w.core, w.owner = nil, nil
		return fmt.Errorf("reaper: watch: %w", err)
	}
	return nil
}

var errUsed = errors.New("reaper: watch: this Watch was used before: each connection needs a new one")

// ready returns the core, made at the first call. The core never refers to r: that is what makes r collectable while
// the goroutine runs.
func (r *Reaper) ready() *core {
	r.once.Do(func() {
		r.core = new(core)
		runtime.AddCleanup(r, (*core).abandon, r.core)
	})
	return r.core
}

// A core is what a Reaper is made of, and all that its goroutine refers to.
//
//	poller   watches
//	nil      empty     nothing is watched, no goroutine
//	set      some      one goroutine, in run
//
// Both change together under mu. Whoever sets poller starts its goroutine, whoever takes it out closes it, both after
// mu is freed.
type core struct {
	mu sync.Mutex // guards the fields below

	poller  *poller
	watches table // all registered with poller
}

// add puts w under watch.
func (c *core) add(w *Watch, raw syscall.RawConn) error {
	p := c.enter(w, nil)
	if p == nil {
		fresh, err := newPoller()
		if err != nil {
			return err
		}
		p = c.enter(w, fresh)
		// Another first watch may have come before this one. A poller that is not needed gets its goroutine all the
		// same, which ends at once and frees it.
		go c.run(fresh)
		if p != fresh {
			fresh.close()
		}
	}
	// w is in the table by now, for its event may come before this returns; and while it is in, nobody closes the poller.
	id := w.id
	if err := control(raw, func(fd uintptr) error { return p.add(fd, id) }); err != nil {
		c.remove(id)
		return err
	}
	return nil
}

// enter gives w an id, and returns its poller: the present one or, if there is none, fresh, which may be nil: then w is not
// entered.
func (c *core) enter(w *Watch, fresh *poller) *poller {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.poller == nil {
		c.poller = fresh
	}
	if c.poller != nil {
		c.watches.add(w)
	}
	return c.poller
}

// leave takes a watch out and returns it, nil if it is out already. After the last one it also returns the poller, which the caller
// has to close.
func (c *core) leave(id uint64) (w *Watch, idle *poller) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if w = c.watches.take(id); w != nil && c.watches.n == 0 {
		idle, c.poller = c.poller, nil
	}
	return w, idle
}

// remove takes a watch out that nobody waits for any more. The kernel is not told: it forgets a connection that is closed, and an event
// of one that lives on finds nobody.
func (c *core) remove(id uint64) {
	if _, idle := c.leave(id); idle != nil {
		idle.close()
	}
}

// run is the reaper's goroutine. It ends when p is closed; where an owner calls runtime.Goexit, another goes on.
func (c *core) run(p *poller) {
	over := false
	defer func() {
		if !over {
			go c.run(p)
		}
	}()
	p.wait(c.hangup)
	over = true
}

// hangup takes out the watch whose peer is gone, and tells its owner. An id that is unknown belongs to a watch that was stopped, or
// that has told already: a reset may follow a FIN.
func (c *core) hangup(id uint64, err error) {
	w, idle := c.leave(id)
	if idle != nil {
		defer idle.close()
	}
	if w != nil {
		w.fire(err)
	}
}

// abandon is the cleanup of a Reaper that nobody can reach any more: nobody is left to stop what it watches.
func (c *core) abandon() {
	c.mu.Lock()
	p := c.poller
	c.poller, c.watches = nil, table{serial: c.watches.serial}
	c.mu.Unlock()
	if p != nil {
		p.close()
	}
}
