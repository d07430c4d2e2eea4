package pool

import (
	"context"
	"time"
)

// dialLocked starts dials for waiters that have none, as far as the limit allows.
func (c *core[K, C]) dialLocked(g *group[K, C], t *todo[K, C]) {
	for !c.closed {
		wanted := g.wanted()
		full := c.cfg.maxPerKey > 0 && g.open+len(g.dials) >= c.cfg.maxPerKey
		if full || wanted >= len(g.waiters) {
			return
		}
		// The dials in progress serve the oldest; this one is for the first they leave.
		w := g.waiters[wanted]
		d := &dial[K, C]{group: g, asker: w}
		d.ctx, d.cancel = c.dialContext(w.ctx)
		g.dials = append(g.dials, d)
		c.dials++
		c.counts.Dials++
		t.starts = append(t.starts, d)
	}
}

func (c *core[K, C]) dialContext(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx = context.WithoutCancel(ctx)
	if c.cfg.dialTimeout > 0 {
		return context.WithTimeout(ctx, c.cfg.dialTimeout)
	}
	return context.WithCancel(ctx)
}

// spareDials is how many dials of a key may go on for nobody.
func (c *core[K, C]) spareDials() int {
	switch {
	case c.cfg.maxIdleKey < 0:
		return 0
	case c.cfg.maxIdleKey == 0:
		return 2
	}
	return c.cfg.maxIdleKey
}

// trimDialsLocked cancels dials that nobody waits for, but for as many as spare, those whose asker has left first.
func (c *core[K, C]) trimDialsLocked(g *group[K, C], spare int, t *todo[K, C]) {
	excess := g.wanted() - len(g.waiters) - spare
	for _, d := range g.dials {
		if excess <= 0 {
			return
		}
		if !d.cancelled && d.asker.gone {
			d.cancelled = true
			t.stops = append(t.stops, d.cancel)
			excess--
		}
	}
}

// runDial is the goroutine of one dial. Its connection goes to the oldest waiter, whoever asked.
func (c *core[K, C]) runDial(d *dial[K, C]) {
	defer d.cancel()
	conn, err := c.cfg.dial(d.ctx, d.group.key)
	var none C
	if err == nil && conn == none {
		err = errNilConn
	}
	if err != nil {
		c.dialFailed(d, err)
		return
	}
	now := time.Now()
	e := &entry[K, C]{conn: conn, key: d.group.key, opened: now, since: now, expires: c.lifetime(now)}
	c.mu.Lock()
	d.group.open++
	c.conns[conn] = e
	c.endDialLocked(d)
	c.mu.Unlock()
	if c.cfg.onOpen != nil {
		c.cfg.onOpen(conn)
	}
	var t todo[K, C]
	c.mu.Lock()
	c.offerLocked(e, time.Now(), &t)
	c.mu.Unlock()
	c.do(&t)
}

// dialFailed gives a dial's error to who asked, if it still waits, and the slot to the next.
func (c *core[K, C]) dialFailed(d *dial[K, C], err error) {
	var t todo[K, C]
	g := d.group
	c.mu.Lock()
	c.counts.DialErrors++
	c.endDialLocked(d)
	if w := d.asker; !w.gone && !c.closed {
		g.drop(w)
		c.waiting--
		w.result <- result[K, C]{err: err}
	}
	c.dialLocked(g, &t)
	c.forgetLocked(g)
	c.mu.Unlock()
	c.do(&t)
}

func (c *core[K, C]) endDialLocked(d *dial[K, C]) {
	d.group.dials = remove(d.group.dials, d)
	c.dials--
	c.changedLocked()
}
