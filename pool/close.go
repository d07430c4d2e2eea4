package pool

import (
	"context"
	"sync"
)

// closeIdle closes what is idle and waits for it.
func (c *core[K, C]) closeIdleNow() {
	var t todo[K, C]
	c.mu.Lock()
	c.closeIdle = true
	for c.idle.oldest != nil {
		c.closeLocked(c.idle.oldest, IdleClosed, &t)
	}
	for _, g := range c.groups {
		c.trimDialsLocked(g, 0, &t)
	}
	c.mu.Unlock()
	c.doAndWait(&t)
}

// closeOldest closes the n entries that have been idle longest and waits for it.
func (c *core[K, C]) closeOldest(n int) int {
	var t todo[K, C]
	c.mu.Lock()
	for len(t.closes) < n && c.idle.oldest != nil {
		c.closeLocked(c.idle.oldest, IdleClosed, &t)
	}
	c.mu.Unlock()
	closed := len(t.closes)
	c.doAndWait(&t)
	return closed
}

// doAndWait is do, returning once the connections are closed. They are closed side by side: one that hangs holds up only the return.
func (c *core[K, C]) doAndWait(t *todo[K, C]) {
	closes := t.closes
	t.closes = nil
	c.do(t)
	var wg sync.WaitGroup
	for _, v := range closes {
		c.announce(v)
		wg.Go(func() { c.closeConn(v.conn) })
	}
	wg.Wait()
}

// close begins the end: nothing is lent, dialed or kept any more.
func (c *core[K, C]) close() {
	var t todo[K, C]
	c.mu.Lock()
	c.closed = true
	if c.timer != nil {
		c.timer.Stop()
	}
	for c.idle.oldest != nil {
		c.closeLocked(c.idle.oldest, Closed, &t)
	}
	for _, g := range c.groups {
		for w := g.pop(); w != nil; w = g.pop() {
			c.waiting--
			w.result <- result[K, C]{err: ErrClosed}
		}
		for _, d := range g.dials {
			t.stops = append(t.stops, d.cancel)
		}
		c.forgetLocked(g)
	}
	c.mu.Unlock()
	c.do(&t)
}

// settledLocked reports whether nothing of the pool's own is running.
func (c *core[K, C]) settledLocked() bool { return c.dials == 0 && c.closing == 0 }

// changedLocked wakes those who wait for an end.
func (c *core[K, C]) changedLocked() {
	if c.changed != nil {
		close(c.changed)
		c.changed = nil
	}
}

// await waits until done, which is asked under the lock, or until ctx ends, whose cause it returns then.
func (c *core[K, C]) await(ctx context.Context, done func() bool) error {
	for {
		c.mu.Lock()
		if done() {
			c.mu.Unlock()
			return nil
		}
		if c.changed == nil {
			c.changed = make(chan struct{})
		}
		changed := c.changed
		c.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
