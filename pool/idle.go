package pool

import (
	"sync/atomic"
	"time"
)

// tryAcquire is Pool.TryAcquire.
func (c *core[K, C]) tryAcquire(key K) (Lease[K, C], bool) {
	now := c.now()
	var t todo[K, C]
	c.mu.Lock()
	c.closeIdle = false
	l, ok := c.tryLocked(key, now, &t)
	c.mu.Unlock()
	if ok && len(t.closes) > 0 {
		c.doHolding(&t, l)
	} else {
		c.do(&t)
	}
	return l, ok
}

// doHolding is do for who has a lease, and loses it where OnClose unwinds its goroutine.
func (c *core[K, C]) doHolding(t *todo[K, C], l Lease[K, C]) {
	unwinds := true
	defer func() {
		if unwinds {
			c.release(l, wasUnused)
		}
	}()
	c.do(t)
	unwinds = false
}

// tryLocked leases what can be had at once, if nobody waits for it. It unlocks the lock while Admit is asked.
func (c *core[K, C]) tryLocked(key K, now time.Duration, t *todo[K, C]) (Lease[K, C], bool) {
	for !c.closed {
		g := c.groups.m[key]
		if g == nil || g.waiters.n > 0 {
			break
		}
		if e := c.newestIdleLocked(g, now, t); e != nil {
			return c.lendLocked(e, now), true
		}
		e := c.candidateLocked(g, now)
		if e == nil {
			break
		}
		if c.admitOrUnwindLocked(e, t) {
			return c.lendLocked(e, now), true
		}
	}
	return Lease[K, C]{}, false
}

// admitOrUnwindLocked is admitLocked for those who unlock and do behind it: where Admit unwinds their goroutine, here.
func (c *core[K, C]) admitOrUnwindLocked(e *entry[K, C], t *todo[K, C]) (yes bool) {
	g := e.group
	g.trying++
	unwinds := true
	defer func() {
		g.trying--
		if !yes {
			c.provideLocked(g, t) // for those who came meanwhile: he was counted
		}
		if unwinds {
			c.mu.Unlock()
			c.do(t)
		}
	}()
	yes = c.admitLocked(e)
	unwinds = false
	return yes
}

// newestIdleLocked returns the most recently used idle connection of a group, nil if there is none. The timer may be
// late, as after a suspension of the machine: what is too old is closed here.
func (c *core[K, C]) newestIdleLocked(g *group[K, C], now time.Duration, t *todo[K, C]) *entry[K, C] {
	for {
		e := g.idle.last
		switch {
		case e == nil:
			return nil
		case c.cfg.idleTimeout > 0 && now-e.since >= c.cfg.idleTimeout:
			c.closeLocked(e, IdleTimeout, t)
		case now >= c.lifetimes.of(e):
			c.closeLocked(e, Lifetime, t)
		default:
			return e
		}
	}
}

// parkLocked makes a connection that nobody leases idle, and closes the one that is too many then. It reports whether e
// is idle.
func (c *core[K, C]) parkLocked(e *entry[K, C], now time.Duration, t *todo[K, C]) bool {
	g := e.group
	switch {
	case c.closeIdle:
		c.closeLocked(e, IdleClosed, t)
		return false
	case c.cfg.maxIdleKey < 0 && !e.used:
		c.closeLocked(e, Unwanted, t)
		return false
	case c.cfg.maxIdleKey < 0:
		c.closeLocked(e, Evicted, t)
		return false
	}
	e.since, e.used = now, true
	e.moveLocked(idle)
	switch {
	case c.cfg.maxIdleKey > 0 && g.idle.n > c.cfg.maxIdleKey:
		c.closeLocked(g.idle.first, Evicted, t)
	case c.cfg.maxIdle > 0 && c.idle.n > c.cfg.maxIdle:
		c.closeLocked(c.idle.first, Evicted, t)
	}
	c.armLocked(now, c.deadline(e))
	return true
}

// deadline returns when an idle connection becomes too old.
func (c *core[K, C]) deadline(e *entry[K, C]) time.Duration {
	if c.cfg.idleTimeout <= 0 || c.cfg.idleTimeout > never-e.since {
		return c.lifetimes.of(e)
	}
	return min(e.since+c.cfg.idleTimeout, c.lifetimes.of(e))
}

// armLocked sets the timer for a deadline. A timer that is set for an earlier one stays: it fires, finds out, and is
// set again. So a busy pool hardly ever touches it.
func (c *core[K, C]) armLocked(now, at time.Duration) {
	if at >= c.armed {
		return
	}
	c.armed = at
	if c.timer == nil {
		t := new(timed[K, C])
		t.core.Store(c)
		c.timer, c.timed = time.AfterFunc(at-now, t.expire), t
	} else {
		c.timer.Reset(at - now)
	}
}

// disarmLocked stops the timer when a connection has gone and there is nothing for it to do. An acquire that takes the last idle
// one leaves it alone, as the connection is likely to be back before it fires.
func (c *core[K, C]) disarmLocked() {
	if c.armed != never && c.nextLocked() == never {
		c.unsetLocked()
	}
}

// unsetLocked lets go of the timer. One that is made in a bubble of testing/synctest must not be set from outside of it, where the pool may
// be used later.
func (c *core[K, C]) unsetLocked() {
	c.armed = never
	if c.timer != nil {
		c.timer.Stop()
		c.timed.core.Store(nil)
		c.timer, c.timed = nil, nil
	}
}

// A timed refers to the core whose timer is set. The runtime may keep a timer that was stopped, and what it refers to, for as long as it was
// set for.
type timed[K comparable, C Conn] struct {
	core atomic.Pointer[core[K, C]] // nil: there is no timer any more
}

// expire is the timer's function.
func (t *timed[K, C]) expire() {
	if c := t.core.Load(); c != nil {
		c.expire()
	}
}

// expire is called when the timer fires. It may also come when it was stopped or set anew a moment ago, and does no harm then:
// what it does depends on the time alone.
func (c *core[K, C]) expire() {
	var t todo[K, C]
	c.mu.Lock()
	now := c.now()
	c.armed = never
	c.armLocked(now, c.expireLocked(now, &t))
	if c.armed == never {
		c.unsetLocked()
	}
	c.mu.Unlock()
	c.do(&t)
}

// expireLocked closes the idle connections that are too old at now, and retires the leased ones whose lifetime is
// over. It returns when there will be something to do again.
func (c *core[K, C]) expireLocked(now time.Duration, t *todo[K, C]) (next time.Duration) {
	if d := c.cfg.idleTimeout; d > 0 {
		for e := c.idle.first; e != nil && now-e.since >= d; e = c.idle.first {
			c.closeLocked(e, IdleTimeout, t)
		}
	}
	for now >= c.lifetimes.next() {
		e := c.lifetimes[0].entry
		c.lifetimes.remove(e)
		if e.state == idle {
			c.closeLocked(e, Lifetime, t)
		} else {
			c.retireLocked(e, Lifetime)
			t.asks = append(t.asks, e.group) // a dial may be allowed now: after the others, that are not to be counted on either
		}
	}
	return c.nextLocked()
}

// nextLocked returns the first deadline of an idle connection; where others may wait for a multiplexed one that is leased, of any.
func (c *core[K, C]) nextLocked() time.Duration {
	next := never
	if oldest := c.idle.first; oldest != nil {
		next = c.deadline(oldest)
	}
	if next != never || c.waitForShared() && !c.closed {
		next = min(next, c.lifetimes.next())
	}
	return next
}

// waitForShared reports whether there may be some who wait for a multiplexed connection that is leased until it is retired.
func (c *core[K, C]) waitForShared() bool {
	return c.cfg.oneShared || c.cfg.maxPerKey > 0 && c.cfg.shared != nil
}
