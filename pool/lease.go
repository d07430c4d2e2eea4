package pool

import "time"

// A Lease is the right to use a connection until it is ended by Release, Discard or Hijack, whichever comes first.
// After that they do nothing, also on copies of the lease and however late: a lease that has ended cannot end the
// next holder's. It may be ended from any goroutine, also after the pool's Close. The zero Lease has ended.
type Lease[K comparable, C Conn] struct {
	entry  *entry[K, C]
	number uint64
	reused bool
	idle   time.Duration
}

// Conn returns the connection, which must not be used after the lease's end; for the zero Lease, C's zero value.
func (l Lease[K, C]) Conn() C {
	if l.entry == nil {
		var none C
		return none
	}
	return l.entry.conn
}

// Key returns the key under which the connection was acquired; for the zero Lease, K's zero value.
func (l Lease[K, C]) Key() K {
	if l.entry == nil {
		var none K
		return none
	}
	return l.entry.group.key
}

// Reused reports whether the connection was leased or idle before, and not dialed just now: its peer may have given it
// up meanwhile.
func (l Lease[K, C]) Reused() bool { return l.reused }

// IdleTime returns how long the connection was idle before this lease: 0 for one that was just dialed, handed over by
// its last holder, or leased by others; at least a nanosecond for one that was idle.
func (l Lease[K, C]) IdleTime() time.Duration { return l.idle }

// Age returns the time since the connection's dial was done; for the zero Lease, 0. It goes on after the lease's end.
func (l Lease[K, C]) Age() time.Duration {
	if l.entry == nil {
		return 0
	}
	return l.entry.group.core.now() - l.entry.opened
}

// Release ends the lease and gives the connection to the oldest waiter, or keeps it idle. It reports whether the
// connection was kept: true also if others still lease it; false if it is closed, now or when their leases end, and if
// this lease had ended before. It does not wait for the Close.
func (l Lease[K, C]) Release() bool {
	return l.entry != nil && l.entry.group.core.release(l, wasUsed)
}

// Discard ends the lease and closes the connection, without waiting for that. A connection that others lease is
// retired: it is closed when they have ended. OnClose is told why, unless the connection was retired for another
// reason before. It reports whether this call ended the lease.
func (l Lease[K, C]) Discard(why Reason) bool {
	return l.entry != nil && l.entry.group.core.discard(l, why)
}

// Hijack ends the lease and takes the connection out of the pool: the caller must close it. It no longer counts towards a limit,
// and OnClose is not called. Hijack reports whether it did that: it returns false if the lease had ended, and if others lease the
// connection, in which case the lease goes on.
func (l Lease[K, C]) Hijack() bool {
	return l.entry != nil && l.entry.group.core.hijack(l)
}

// Whether a lease that is released came into its holder's hands.
const (
	wasUsed   = true
	wasUnused = false
)

// lendLocked leases e, which may be idle, opening, or leased by others.
func (c *core[K, C]) lendLocked(e *entry[K, C], now time.Duration) Lease[K, C] {
	g := e.group
	c.numbers++
	l := Lease[K, C]{entry: e, number: c.numbers, reused: e.used}
	if e.state == idle {
		l.idle = max(now-e.since, 1)
	}
	if !e.state.isLeased() {
		e.since = now
		c.leased++
		if c.cfg.admit != nil && (e.shared || c.cfg.shared == nil) && !e.retired {
			e.moveLocked(sharing)
		} else {
			e.moveLocked(busy)
		}
	}
	if e.used {
		c.counts.Reuses++
	}
	e.used = true
	e.addLeaseLocked(l.number)
	g.leases++
	if e.isJoint() {
		g.carried++
	}
	c.leases++
	return l
}

// endLocked ends a lease and reports whether it had not ended before. After a connection's last lease, e is opening,
// and the caller's to close, offer or give away before it unlocks.
func (c *core[K, C]) endLocked(l Lease[K, C]) bool {
	e := l.entry
	if !e.dropLeaseLocked(l.number) {
		return false
	}
	e.group.leases--
	if e.isJoint() {
		e.group.carried--
	}
	c.leases--
	if e.lease != 0 {
		c.reopenLocked(e)
		return true
	}
	e.moveLocked(opening)
	c.leased--
	if r := e.rare; r != nil {
		r.full = false
		r.change++
		if r.asking == 0 && !e.retired {
			e.rare = nil
		}
	}
	return true
}

// release ends a lease; the connection stays if it is fit to.
func (c *core[K, C]) release(l Lease[K, C], used bool) bool {
	now := c.now()
	e := l.entry
	var t todo[K, C]
	c.mu.Lock()
	if !c.endLocked(l) {
		c.mu.Unlock()
		return false
	}
	if !used {
		c.unlendLocked(l)
	}
	kept := !e.retired
	if e.state == opening {
		kept = c.offerLocked(e, now, &t)
	} else {
		c.provideLocked(e.group, &t)
	}
	c.mu.Unlock()
	c.do(&t)
	return kept
}

// unlendLocked takes back what lending has recorded, for a lease that nobody saw.
func (c *core[K, C]) unlendLocked(l Lease[K, C]) {
	if l.reused {
		c.counts.Reuses--
	} else if l.entry.state == opening {
		l.entry.used = false
	}
}

func (c *core[K, C]) discard(l Lease[K, C], why Reason) bool {
	e := l.entry
	var t todo[K, C]
	c.mu.Lock()
	ended := c.endLocked(l)
	if ended {
		if e.state == opening {
			c.closeLocked(e, why, &t)
		} else {
			c.retireLocked(e, why)
			c.provideLocked(e.group, &t)
		}
	}
	c.mu.Unlock()
	c.do(&t)
	return ended
}

func (c *core[K, C]) hijack(l Lease[K, C]) bool {
	var t todo[K, C]
	c.mu.Lock()
	alone := l.entry.leasesLocked() == 1 && c.endLocked(l)
	if alone {
		c.counts.Hijacks++
		c.leaveLocked(l.entry, &t)
	}
	c.mu.Unlock()
	c.do(&t)
	return alone
}

// offerLocked gives a connection that nobody leases and that is not idle to the oldest waiter, or makes it idle. It
// reports false if the connection is closed instead.
func (c *core[K, C]) offerLocked(e *entry[K, C], now time.Duration, t *todo[K, C]) (kept bool) {
	g := e.group
	switch {
	case e.retired:
		c.closeLocked(e, e.rare.why, t)
		return false
	case c.closed:
		c.closeLocked(e, Closed, t)
		return false
	case now >= c.lifetimes.of(e):
		c.closeLocked(e, Lifetime, t)
		return false
	}
	if w := g.waiters.first; w != nil && !c.cfg.singleUse {
		c.answerLocked(g, w, result[K, C]{lease: c.lendLocked(e, now)}, t)
		c.provideLocked(g, t)
		return true
	}
	return c.parkLocked(e, now, t)
}
