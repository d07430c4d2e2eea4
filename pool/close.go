package pool

import (
	"context"
	"sync"
)

// closeAllIdle is Pool.CloseIdle.
func (c *core[K, C]) closeAllIdle() {
	t := todo[K, C]{closing: new(sync.WaitGroup)}
	c.mu.Lock()
	c.closeIdle = true
	for e := c.idle.first; e != nil; e = c.idle.first {
		c.closeLocked(e, IdleClosed, &t)
	}
	for _, g := range c.groups.m {
		c.trimLocked(g, 0, &t)
	}
	c.mu.Unlock()
	c.do(&t)
	t.closing.Wait()
}

// closeOldest is Pool.CloseOldestIdle.
func (c *core[K, C]) closeOldest(n int) int {
	t := todo[K, C]{closing: new(sync.WaitGroup)}
	c.mu.Lock()
	for len(t.closes) < n && c.idle.n > 0 {
		c.closeLocked(c.idle.first, IdleClosed, &t)
	}
	c.mu.Unlock()
	c.do(&t)
	t.closing.Wait()
	return len(t.closes)
}

// close begins the end: nothing is lent, dialed or kept any more.
func (c *core[K, C]) close() {
	var t todo[K, C]
	c.mu.Lock()
	c.closed = true
	for e := c.idle.first; e != nil; e = c.idle.first {
		c.closeLocked(e, Closed, &t)
	}
	for _, g := range c.groups.m {
		// A waiter's dial is abandoned as it leaves, and cancelled at once: closed pools spare none.
		for w := g.waiters.first; w != nil; w = g.waiters.first {
			c.answerLocked(g, w, result[K, C]{err: ErrClosed}, &t)
		}
		c.trimLocked(g, c.spareLocked(), &t)
		c.forgetLocked(g)
	}
	c.disarmLocked()
	c.mu.Unlock()
	c.do(&t)
}

// await waits until no goroutine of the pool is left and, if leases is set, no connection either; or until ctx ends,
// whose cause it returns then.
func (c *core[K, C]) await(ctx context.Context, leases bool) error {
	for {
		c.mu.Lock()
		if c.working == 0 && (!leases || c.conns.n == 0) {
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

// What await waits for besides goroutines.
const (
	withLeases    = true
	withoutLeases = false
)

// changedLocked wakes those who await.
func (c *core[K, C]) changedLocked() {
	if c.changed != nil {
		close(c.changed)
		c.changed = nil
	}
}
