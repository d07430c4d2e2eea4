package reaper

import (
	"fmt"
	"net"
	"runtime"
	"sync"
)

// A Reaper watches connections for their peer's hang-up, with one registration in the kernel for each and one
// goroutine for all of them. The zero value is ready to use. A Reaper is safe for concurrent use and must not be
// copied after its first Watch.
//
// There is nothing to close: the goroutine and the descriptors begin with the first watch and end with the last one,
// and begin anew with the next. Watches that are still on when neither the Reaper nor any of its watches is reachable
// any more end by themselves, so that a Reaper that was forgotten leaves nothing behind. As long as a watch is
// wanted, keep one of the two.
type Reaper struct {
	once sync.Once
	core *core // set by once
}

// Watch calls onHangup when the peer of conn is gone: with [ErrHangup] after its FIN, with [ErrReset] if the
// connection was reset. What happened before Watch counts. Bytes that arrive do not, and neither does what is done to
// conn on this side with Close or CloseWrite; a CloseRead on this side cannot be told from the peer's FIN, so Stop
// before it.
//
// onHangup is called at most once, from the reaper's goroutine, perhaps before Watch has returned. It must not block,
// since other hang-ups wait for it; it may call every function of this package, and close conn. If it is nil,
// [Watch.Err] alone tells.
//
// The watch is over after the hang-up, with Stop, or when conn is closed. Stop is due in each case: until then conn
// cannot be collected, nor watched again by this Reaper. To watch a connection twice at a time is an error of the
// caller's, which Linux reports.
//
// The error wraps [errors.ErrUnsupported] where conn has no descriptor or the system no means, and [net.ErrClosed]
// where conn was closed. Any other is the system's: [syscall.EMFILE] and [syscall.ENFILE] when the first watch finds
// no descriptor left, [syscall.ENOSPC] when the user's limit on watches is reached.
func (r *Reaper) Watch(conn net.Conn, onHangup func(error)) (Watch, error) {
	raw, err := rawConn(conn)
	if err != nil {
		return Watch{}, err
	}
	reg := &registration{raw: raw, onHangup: onHangup}
	if err := r.ready().add(reg); err != nil {
		return Watch{}, fmt.Errorf("reaper: watch: %w", err)
	}
	return Watch{reaper: r, reg: reg}, nil
}

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

// add puts g under watch.
func (c *core) add(g *registration) error {
	p := c.enter(g, nil)
	if p == nil {
		fresh, err := newPoller()
		if err != nil {
			return err
		}
		p = c.enter(g, fresh)
		// Another first watch may have come before this one. A poller that is not needed gets its goroutine all the
		// same, which ends at once and frees it.
		go c.run(fresh)
		if p != fresh {
			fresh.close()
		}
	}
	// g is in the table by now, for its event may come before this returns; and while it is in, nobody closes the poller.
	if err := control(g.raw, func(fd uintptr) error { return p.add(fd, g.id) }); err != nil {
		c.remove(g.id)
		return err
	}
	return nil
}

// enter gives g an id, and returns its poller: the present one or, if there is none, fresh, which may be nil: then g is not
// entered.
func (c *core) enter(g *registration, fresh *poller) *poller {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.poller == nil {
		c.poller = fresh
	}
	if c.poller != nil {
		c.watches.add(g)
	}
	return c.poller
}

// unregister makes the kernel and the core forget g. The former fails, as it may, where it has been done already: because the
// connection was closed, or the poller after the last watch. Each descriptor is held while the other is looked up, so that no
// successor with the same number is hit.
func (c *core) unregister(g *registration) {
	c.mu.Lock()
	p := c.poller
	c.mu.Unlock()
	if p != nil {
		_ = control(g.raw, p.remove)
	}
	c.remove(g.id)
}

// leave takes a registration out and returns it, nil if it is out already. After the last one it also returns the
// poller, which the caller has to close.
func (c *core) leave(id uint64) (g *registration, idle *poller) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if g = c.watches.take(id); g != nil && c.watches.n == 0 {
		idle, c.poller = c.poller, nil
	}
	return g, idle
}

// remove takes a registration out that nobody waits for any more.
func (c *core) remove(id uint64) {
	if _, idle := c.leave(id); idle != nil {
		idle.close()
	}
}

// run is the reaper's goroutine. It ends when p is closed.
func (c *core) run(p *poller) { p.wait(c.hangup) }

// hangup takes out the registration whose peer is gone, and tells its owner. An id that is unknown belongs to a watch
// that was stopped, or that has told already: a reset may follow a FIN, and a duplicate of a descriptor keeps the
// kernel's registration after a Close.
func (c *core) hangup(id uint64, err error) {
	g, idle := c.leave(id)
	if g != nil {
		g.fire(err)
	}
	if idle != nil {
		idle.close()
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
