package pool

import "time"

// expiredLocked returns why an idle entry is too old now, "" if it is not.
func (c *core[K, C]) expiredLocked(e *entry[K, C], now time.Time) Reason {
	if d := c.cfg.idleTimeout; d > 0 && now.Sub(e.since) >= d {
		return IdleTimeout
	}
	if !e.expires.IsZero() && !now.Before(e.expires) {
		return Lifetime
	}
	return ""
}

// expireLocked closes the idle entries that are too old at now and returns when the next one will be; the zero time if none will.
func (c *core[K, C]) expireLocked(now time.Time, t *todo[K, C]) (next time.Time) {
	for e := c.idle.oldest; e != nil; {
		following := e.all.next
		if why := c.expiredLocked(e, now); why != "" {
			c.closeLocked(e, why, t)
		} else {
			next = earlier(next, c.deadline(e))
			if c.cfg.maxLifetime <= 0 {
				return next // the others were used later
			}
		}
		e = following
	}
	return next
}

// deadline returns when an idle entry becomes too old; the zero time for never.
func (c *core[K, C]) deadline(e *entry[K, C]) time.Time {
	if d := c.cfg.idleTimeout; d > 0 {
		return earlier(e.since.Add(d), e.expires)
	}
	return e.expires
}

// earlier returns the earlier of two times, of which the zero time is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// armLocked sets the timer for the newest idle entry, if it is not set: set, it is for an earlier time, or fires early
// and is set again. So a busy pool never touches it.
func (c *core[K, C]) armLocked(now time.Time) {
	if c.idle.newest == nil || c.cfg.idleTimeout <= 0 && c.cfg.maxLifetime <= 0 {
		return
	}
	at := c.deadline(c.idle.newest)
	if c.armed && !at.Before(c.armedFor) {
		return
	}
	c.setTimerLocked(now, at)
}

func (c *core[K, C]) setTimerLocked(now, at time.Time) {
	c.armed, c.armedFor = true, at
	if c.timer == nil {
		c.timer = time.AfterFunc(at.Sub(now), c.tick)
	} else {
		c.timer.Reset(at.Sub(now))
	}
}

// tick is the timer's function.
func (c *core[K, C]) tick() {
	var t todo[K, C]
	c.mu.Lock()
	now := time.Now()
	c.armed = false
	if next := c.expireLocked(now, &t); !next.IsZero() && !c.closed {
		c.setTimerLocked(now, next)
	}
	c.mu.Unlock()
	c.do(&t)
}
