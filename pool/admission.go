package pool

import "time"

// Admission is how a connection that is leased gets a further lease. Admit is asked without the lock, so everything may
// have changed when it has answered:
//
//   - Yes is good as long as the connection is neither retired nor gone. Those who are asked about it at the same time
//     count each other, so it does not get too many.
//   - No makes it full, unless a lease ended, Wake was called, or a yes was not needed meanwhile: then the answer was about another
//     moment, and Admit is asked again.
//
// A connection that is not full is in its group's sharing list, unless Shared said, when it had been dialed, that nothing is shared
// there. While waiters stand in the queue and the list is not empty, somebody is in admitWaiters.

// isShared asks Shared.
func (c *core[K, C]) isShared(key K) bool { return c.cfg.shared != nil && c.cfg.shared(key) }

// admitLocked asks whether e may carry one more lease. It unlocks the lock while it does. Where Admit unwinds its goroutine, that is a no.
func (c *core[K, C]) admitLocked(e *entry[K, C]) (yes bool) {
	r := e.rareLocked() // e's for as long as it is asked about
	r.asking++
	leases, change := e.leasesLocked()+r.asking, r.change
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		r.asking--
		switch {
		case c.closed || e.retired || e.state == gone:
			yes = false
		case !yes && change == r.change:
			r.full = true
			if e.state == sharing {
				e.moveLocked(busy)
			}
		}
	}()
	return c.cfg.admit(e.conn, leases)
}

// candidateLocked returns a connection of the group that may admit one more, nil if there is none.
func (c *core[K, C]) candidateLocked(g *group[K, C], now time.Duration) *entry[K, C] {
	for {
		e := g.sharing.first
		if e == nil || now < c.lifetimes.of(e) {
			return e
		}
		c.retireLocked(e, Lifetime)
	}
}

// reopenLocked notes that a leased connection may have room again.
func (c *core[K, C]) reopenLocked(e *entry[K, C]) {
	r := e.rare
	if r == nil {
		return // nobody has asked
	}
	r.change++
	if r.full && !e.retired {
		r.full = false
		e.moveLocked(sharing)
	}
}

// admitWaiters lets the oldest waiters share connections that have room. It runs where the room was made or the wait
// began: in Acquire, in a lease's end, in Wake, in a dial.
func (c *core[K, C]) admitWaiters(g *group[K, C]) {
	var t todo[K, C]
	c.mu.Lock()
	defer func() {
		c.provideLocked(g, &t)
		c.forgetLocked(g)
		c.mu.Unlock()
		c.do(&t)
	}()
	for g.waiters.n > 0 {
		e := c.candidateLocked(g, c.now())
		if e == nil {
			break
		}
		// Whoever is the oldest by now gets it; it may also be that nobody waits any more.
		switch yes := c.askLocked(g, e); {
		case yes && g.waiters.n > 0:
			c.answerLocked(g, g.waiters.first, result[K, C]{lease: c.lendLocked(e, c.now())}, &t)
		case yes:
			c.reopenLocked(e) // for those who were told no beside it
		}
	}
}

// askLocked is admitLocked for those in admitWaiters.
func (c *core[K, C]) askLocked(g *group[K, C], e *entry[K, C]) bool {
	g.asking++
	defer func() { g.asking-- }()
	return c.admitLocked(e)
}

// wake is Pool.Wake.
func (c *core[K, C]) wake(conn C) {
	var t todo[K, C]
	c.mu.Lock()
	if e := c.conns.find(conn); e != nil && e.state.isLeased() {
		c.reopenLocked(e)
		c.provideLocked(e.group, &t)
	}
	c.mu.Unlock()
	c.do(&t)
}
