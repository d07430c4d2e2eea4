package pool

import (
	"context"
	"reflect"
	"slices"
	"time"
)

// A dial is one call of Dial, in a goroutine of its own. Its connection goes to the oldest waiter, whoever asked for
// it, or with SingleUse to its owner; its error to its owner.
type dial[K comparable, C Conn] struct {
	group  *group[K, C]
	number int64 // by age
	began  time.Duration
	shared bool // for many who wait: its error is for as many of them

	ctx context.Context // of the Acquire that asked; the goroutine's to drop

	// core.mu guards the fields below.
	cancel    context.CancelFunc // nil until the goroutine has made it
	owner     *waiter[K, C]      // nil: nobody waits for it
	adopted   bool               // its first owner left: whoever has it now, if anybody, has adopted it
	timed     bool               // there was a timer for the moment in which it is too old to be relied on
	cancelled bool               // it was told to end; what it yields nevertheless is closed
}

// startLocked starts a dial for w.
func (c *core[K, C]) startLocked(g *group[K, C], w *waiter[K, C], t *todo[K, C]) *dial[K, C] {
	c.counts.Dials++
	d := &dial[K, C]{group: g, number: c.counts.Dials, began: c.now(), shared: g.shared, ctx: w.ctx}
	g.dialing++
	c.dialing++
	c.working++
	t.dials = append(t.dials, d)
	return d
}

// assignLocked makes w, the first waiter without a dial, the owner of d.
func (c *core[K, C]) assignLocked(g *group[K, C], d *dial[K, C], w *waiter[K, C]) {
	g.own(d, w)
	g.undialed = w.place.next
	if d.adopted {
		c.timeLocked(d)
	}
}

func (g *group[K, C]) own(d *dial[K, C], w *waiter[K, C]) {
	if !w.told {
		g.untold--
	}
	d.owner, w.dial = w, d
	if d.adopted {
		g.adopted++
	}
}

func (g *group[K, C]) disown(d *dial[K, C]) {
	if !d.owner.told {
		g.untold++
	}
	d.owner.dial, d.owner = nil, nil
	if d.adopted {
		g.adopted--
	}
}

// timeLocked sets the timer of a dial that somebody waits for who did not begin it.
func (c *core[K, C]) timeLocked(d *dial[K, C]) {
	if !d.timed {
		d.timed = true
		time.AfterFunc(d.began+reliedOnFor-c.now(), func() { c.dialAnew(d.group) })
	}
}

// reliedOnFor is how old another's dial may be to be waited for instead of a new one. It may lead nowhere, to an address that does not
// answer, and have been abandoned for that. It is the delay between two attempts that RFC 8305 section 5 recommends.
const reliedOnFor = 250 * time.Millisecond

// adoptableLocked returns the oldest abandoned dial, which will be done first, of those that are young, or of all where the limit
// allows no new one; nil if there is none.
func (c *core[K, C]) adoptableLocked(g *group[K, C], full bool) (oldest *dial[K, C]) {
	for _, d := range g.abandoned {
		if (full || !c.isOldLocked(d)) && (oldest == nil || d.number < oldest.number) {
			oldest = d
		}
	}
	return oldest
}

// adoptLocked makes the first waiter without a dial the owner of an abandoned one.
func (c *core[K, C]) adoptLocked(g *group[K, C], d *dial[K, C]) {
	i := slices.Index(g.abandoned, d)
	g.abandoned = slices.Delete(g.abandoned, i, i+1)
	c.assignLocked(g, d, g.undialed)
}

// isOldLocked reports whether d's first owner left, and it is too old to be relied on.
func (c *core[K, C]) isOldLocked(d *dial[K, C]) bool {
	return d.adopted && c.now()-d.began >= reliedOnFor
}

// dialAnewLocked starts a dial for each waiter that has waited long enough for one that it adopted, as far as the limit allows; where dials
// are shared, one for all of them. The old ones go on, as abandoned ones do.
func (c *core[K, C]) dialAnewLocked(g *group[K, C], t *todo[K, C]) {
	if g.adopted == 0 || c.closed || g.shared && c.isHopefulLocked(g) {
		return
	}
	for w := g.waiters.first; w != nil && !c.fullLocked(g); w = w.place.next {
		old := w.dial
		if old == nil || !c.isOldLocked(old) {
			continue
		}
		g.disown(old)
		g.abandoned = append(g.abandoned, old)
		g.own(c.startLocked(g, w, t), w)
		if g.shared {
			break
		}
	}
	c.trimLocked(g, c.spareLocked(), t)
}

// isHopefulLocked reports whether somebody waits for a dial that is not too old to be relied on.
func (c *core[K, C]) isHopefulLocked(g *group[K, C]) bool {
	for w := g.waiters.first; w != g.undialed; w = w.place.next {
		if !c.isOldLocked(w.dial) {
			return true
		}
	}
	return false
}

// dialAnew is the timer of a dial.
func (c *core[K, C]) dialAnew(g *group[K, C]) {
	var t todo[K, C]
	c.mu.Lock()
	if !g.isAdmitting() {
		c.dialLocked(g, &t)
		c.dialAnewLocked(g, &t)
	}
	c.mu.Unlock()
	c.do(&t)
}

// spareLocked is how many dials of a key go on though nobody waits for them.
func (c *core[K, C]) spareLocked() int {
	switch {
	case c.closed || c.cfg.maxIdleKey < 0:
		return 0
	case c.cfg.maxIdleKey == 0:
		return defaultSpareDials
	}
	return c.cfg.maxIdleKey
}

// defaultSpareDials is for pools that keep any number of idle connections. Where callers give up sooner than a dial is
// done, too few of them mean that dials are cancelled and begun again all the time, and none is ever done.
const defaultSpareDials = 64

// trimLocked cancels abandoned dials, the youngest first, until no more than keep are left.
func (c *core[K, C]) trimLocked(g *group[K, C], keep int, t *todo[K, C]) {
	for len(g.abandoned) > keep {
		i := 0
		for j, d := range g.abandoned {
			if d.number > g.abandoned[i].number {
				i = j
			}
		}
		d := g.abandoned[i]
		g.abandoned = slices.Delete(g.abandoned, i, i+1)
		d.cancelled = true
		g.cancelled++
		if d.cancel != nil {
			t.stops = append(t.stops, d.cancel)
		}
	}
}

// run is the goroutine of d. It ends with Dial and OnOpen.
func (c *core[K, C]) run(d *dial[K, C]) {
	defer c.workDone()
	var conn C
	err := errDialExited
	defer func() { c.finish(d, conn, err) }() // deferred, so that nobody waits for ever when Dial calls runtime.Goexit
	ctx := c.begin(d)
	defer d.cancel()
	conn, err = c.cfg.dial(ctx, d.group.key)
}

// begin makes the dial's context. It has the values of the Acquire that asked, but ends by itself.
func (c *core[K, C]) begin(d *dial[K, C]) context.Context {
	ctx := context.WithoutCancel(d.ctx)
	d.ctx = nil
	var cancel context.CancelFunc
	if c.cfg.dialTimeout > 0 {
		ctx, cancel = context.WithTimeout(ctx, c.cfg.dialTimeout)
	} else {
		ctx, cancel = context.WithCancel(ctx)
	}
	c.mu.Lock()
	d.cancel = cancel
	cancelled := d.cancelled
	c.mu.Unlock()
	if cancelled {
		cancel()
	}
	return ctx
}

// finish passes on what Dial returned.
func (c *core[K, C]) finish(d *dial[K, C], conn C, err error) {
	var none C
	switch {
	case err != nil:
	case conn == none:
		err = errNilConn
	case !canCompare(conn):
		defer func() { _ = conn.Close() }()
		err = errNotComparable
	}
	if err != nil {
		c.fail(d, err)
		return
	}
	now := c.now()
	var e *entry[K, C]
	c.mu.Lock()
	known := c.conns.find(conn) != nil
	unwanted := c.closed || d.cancelled
	if !known && !unwanted {
		e = c.enterLocked(d.group, conn, now)
	}
	c.mu.Unlock()
	switch {
	case known: // whoever wants it or not: it is closed when its leases end
		c.fail(d, errKnownConn)
	case unwanted:
		c.refuse(d, conn)
	default:
		defer c.opened(d, e) // also where OnOpen calls runtime.Goexit
		if c.cfg.onOpen != nil {
			c.cfg.onOpen(conn)
		}
	}
}

// canCompare reports whether a connection can be looked for: what is in an interface may not be comparable, and that panics.
func canCompare[C Conn](conn C) bool { return reflect.ValueOf(conn).Comparable() }

// fail gives a dial's error to its owner, or to all who wait for it, and the slot to the next.
func (c *core[K, C]) fail(d *dial[K, C], err error) {
	var t todo[K, C]
	c.mu.Lock()
	c.counts.DialErrors++
	c.failLocked(d, err, &t)
	c.mu.Unlock()
	defer c.tellLeft(d.group)
	c.do(&t)
}

func (c *core[K, C]) failLocked(d *dial[K, C], err error, t *todo[K, C]) {
	g, owner, share := d.group, d.owner, 1
	if d.shared && owner != nil {
		share = ratio(g.waiters.n, g.awaited())
	}
	c.endDialLocked(d)
	for w := owner; w != nil && share > 0; share-- {
		c.refuseLocked(g, w, err, t)
		w = g.undialed
	}
	c.provideLocked(g, t)
	c.forgetLocked(g)
}

// refuse closes a connection that nobody wants any more, in the dial's goroutine.
func (c *core[K, C]) refuse(d *dial[K, C], conn C) {
	var t todo[K, C]
	c.mu.Lock()
	why := Unwanted
	if c.closed {
		why = Closed
	}
	c.counts.Closes[why]++
	c.endDialLocked(d)
	c.provideLocked(d.group, &t)
	c.forgetLocked(d.group)
	c.mu.Unlock()
	defer func() { _ = conn.Close() }()
	defer c.announce(victim[C]{conn, why, 0})
	c.do(&t)
}

// opened asks Shared about a new connection, which OnOpen has seen.
func (c *core[K, C]) opened(d *dial[K, C], e *entry[K, C]) {
	shared := false
	defer func() { c.passOn(d, e, shared) }()
	shared = c.isShared(d.group.key)
}

// passOn gives a new connection to its heir, or keeps it.
func (c *core[K, C]) passOn(d *dial[K, C], e *entry[K, C], shared bool) {
	var t todo[K, C]
	c.mu.Lock()
	g := d.group
	g.shared, e.shared = shared, shared
	if e.isJoint() {
		g.several++
	}
	if e.retired && e.rare.why != Lifetime && !c.closed {
		c.failLocked(d, &RetiredError{Reason: e.rare.why, Conn: e.conn}, &t)
		c.closeLocked(e, e.rare.why, &t)
	} else {
		w := c.heirLocked(g, d)
		c.endDialLocked(d)
		if w != nil {
			// Also a connection that is too old already: who waited for this dial has no other.
			c.answerLocked(g, w, result[K, C]{lease: c.lendLocked(e, c.now())}, &t)
		} else {
			c.offerLocked(e, c.now(), &t)
		}
		c.provideLocked(g, &t)
	}
	c.mu.Unlock()
	defer c.tellLeft(g)
	c.do(&t)
}

// tellLeft calls OnWait for those who waited for a dial that is done, and must wait on.
func (c *core[K, C]) tellLeft(g *group[K, C]) {
	if c.cfg.onWait == nil {
		return
	}
	each(c.leftWaiting(g), func(int) { c.cfg.onWait(g.key) })
}

// leftWaiting returns how many waited for another's dial, and must wait on now that it is done.
func (c *core[K, C]) leftWaiting(g *group[K, C]) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for w := g.undialed; w != nil && g.untold > 0; w = w.place.next { // there may be many, who all know
		if c.mustWaitLocked(g, w) {
			n++
		}
	}
	return n
}

// heirLocked returns who gets the connection of d, nil if nobody does: the oldest waiter, or d's owner alone.
func (c *core[K, C]) heirLocked(g *group[K, C], d *dial[K, C]) *waiter[K, C] {
	if c.cfg.singleUse {
		return d.owner
	}
	c.passToOldestLocked(g, d)
	return g.waiters.first
}

// passToOldestLocked makes the oldest waiter the owner of a dial that succeeded, in exchange for its own. Then those who have
// a dial still stand before those who have none when it has left.
func (c *core[K, C]) passToOldestLocked(g *group[K, C], d *dial[K, C]) {
	oldest, owner := g.waiters.first, d.owner
	if owner == nil || oldest == owner {
		return
	}
	other := oldest.dial
	g.disown(d)
	if other != nil {
		g.disown(other)
		g.own(other, owner)
		if other.adopted {
			c.timeLocked(other)
		}
	}
	g.own(d, oldest)
}

// endDialLocked takes d out of its group.
func (c *core[K, C]) endDialLocked(d *dial[K, C]) {
	g := d.group
	g.dialing--
	c.dialing--
	if d.cancelled {
		g.cancelled--
	}
	if d.owner != nil {
		g.disown(d)
	} else if i := slices.Index(g.abandoned, d); i >= 0 {
		g.abandoned = slices.Delete(g.abandoned, i, i+1)
	}
}
