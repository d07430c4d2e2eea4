package pool

import (
	"context"
	"time"
)

// A waiter is an Acquire that waits. It is in its group's queue until it gets its result or leaves.
type waiter[K comparable, C Conn] struct {
	ctx    context.Context
	result chan result[K, C] // capacity 1: a result is sent under the lock, or soon after, and never blocks

	// core.mu guards the fields below.
	place  node[waiter[K, C]] // in group.waiters
	queued bool               // it is in it
	told   bool               // OnWait is, or was, called for it, or it has left the queue
	dial   *dial[K, C]        // whose error it gets; nil: none is allowed yet, or a shared one is another's
}

type inQueue[K comparable, C Conn] struct{}

func (inQueue[K, C]) node(w *waiter[K, C]) *node[waiter[K, C]] { return &w.place }

type result[K comparable, C Conn] struct {
	lease Lease[K, C]
	err   error
}

// acquire is Pool.Acquire.
func (c *core[K, C]) acquire(ctx context.Context, key K) (Lease[K, C], error) {
	if ctx.Err() != nil {
		return Lease[K, C]{}, context.Cause(ctx)
	}
	if l, ok := c.tryAcquire(key); ok {
		return l, nil
	}
	shared := c.isShared(key)
	w := &waiter[K, C]{ctx: ctx, result: make(chan result[K, C], 1)}
	var t todo[K, C]
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return Lease[K, C]{}, ErrClosed
	}
	g := c.groupLocked(key)
	g.shared = shared
	c.queueLocked(g, w)
	c.serveLocked(g, &t)
	c.mu.Unlock()
	waits := true
	defer func() {
		if waits { // its context or time ended, or a callback unwound its goroutine
			c.giveUp(g, w)
		}
	}()
	c.do(&t)
	if c.cfg.onWait != nil && c.mustWait(g, w) {
		c.cfg.onWait(key)
	}
	var expired <-chan time.Time
	if c.cfg.waitTimeout > 0 && (c.cfg.maxPerKey > 0 || c.cfg.oneShared) {
		ticker := time.NewTicker(c.cfg.waitTimeout)
		defer ticker.Stop()
		expired = ticker.C
	}
	for {
		select {
		case r := <-w.result:
			waits = false
			return r.lease, r.err
		case <-ctx.Done():
			return Lease[K, C]{}, context.Cause(ctx)
		case <-expired:
			if c.limited(g, w) {
				return Lease[K, C]{}, ErrWaitTimeout
			}
			// It waits for a dial, which another may share and leave nothing of.
		}
	}
}

// limited reports whether w waits for no dial because none is allowed, or for none but another's that leads nowhere.
func (c *core[K, C]) limited(g *group[K, C], w *waiter[K, C]) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.limitedLocked(g, w)
}

func (c *core[K, C]) limitedLocked(g *group[K, C], w *waiter[K, C]) bool {
	dialed := w.dial != nil && !c.isOldLocked(w.dial) || g.shared && g.awaited() > 0
	return w.queued && !dialed && c.fullLocked(g)
}

// mustWait reports whether w is limited, once: for OnWait.
func (c *core[K, C]) mustWait(g *group[K, C], w *waiter[K, C]) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mustWaitLocked(g, w)
}

func (c *core[K, C]) mustWaitLocked(g *group[K, C], w *waiter[K, C]) bool {
	if w.told || !c.limitedLocked(g, w) {
		return false
	}
	g.tell(w)
	return true
}

// tell notes that OnWait is called for w, or never will be.
func (g *group[K, C]) tell(w *waiter[K, C]) {
	if !w.told && w.dial == nil {
		g.untold--
	}
	w.told = true
}

// giveUp ends the wait of w without a result. Either it is still in the queue and leaves it; or it was served
// before, and the result, which is in the channel by then or about to be, is handed on.
func (c *core[K, C]) giveUp(g *group[K, C], w *waiter[K, C]) {
	var t todo[K, C]
	c.mu.Lock()
	if w.queued {
		c.unqueueLocked(g, w, &t)
		if g.shared {
			c.provideLocked(g, &t) // its dial may have been the last hope of the others
		}
		c.forgetLocked(g)
		c.mu.Unlock()
		c.do(&t)
		return
	}
	c.mu.Unlock()
	if r := <-w.result; r.err == nil {
		c.release(r.lease, wasUnused)
	}
}

// queueLocked makes w the last of its group's queue.
func (c *core[K, C]) queueLocked(g *group[K, C], w *waiter[K, C]) {
	g.waiters.push(w)
	w.queued = true
	if g.undialed == nil {
		g.undialed = w
	}
	g.untold++
	c.waiting++
}

// unqueueLocked takes w out of the queue. Its dial goes to the first who has none; if all have one, or none may have it, it is abandoned.
func (c *core[K, C]) unqueueLocked(g *group[K, C], w *waiter[K, C], t *todo[K, C]) {
	if g.undialed == w {
		g.undialed = w.place.next
	}
	g.waiters.remove(w)
	w.queued = false
	g.tell(w)
	c.waiting--
	d := w.dial
	if d == nil {
		return
	}
	g.disown(d)
	d.adopted = true
	if g.undialed != nil && !c.cfg.singleUse {
		c.assignLocked(g, d, g.undialed)
		return
	}
	g.abandoned = append(g.abandoned, d)
	c.trimLocked(g, c.spareLocked(), t)
}

// answerLocked gives w its result.
func (c *core[K, C]) answerLocked(g *group[K, C], w *waiter[K, C], r result[K, C], t *todo[K, C]) {
	c.unqueueLocked(g, w, t)
	w.result <- r
}

// refuseLocked has w told of an error.
func (c *core[K, C]) refuseLocked(g *group[K, C], w *waiter[K, C], err error, t *todo[K, C]) {
	c.unqueueLocked(g, w, t)
	t.fails = append(t.fails, failure[K, C]{w, err})
}

// serveLocked gives the idle connections to the waiters, if there are both, and provides for those who still wait.
func (c *core[K, C]) serveLocked(g *group[K, C], t *todo[K, C]) {
	now := c.now()
	for g.waiters.n > 0 {
		e := c.newestIdleLocked(g, now, t)
		if e == nil {
			break
		}
		c.answerLocked(g, g.waiters.first, result[K, C]{lease: c.lendLocked(e, now)}, t)
	}
	c.provideLocked(g, t)
}
