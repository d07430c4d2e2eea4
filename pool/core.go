package pool

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// A core is what works behind a Pool. Its lock is held for moments only, and never while anything is called that
// belongs to somebody else: what is to be done is collected under the lock and done after it.
type core[K comparable, C Conn] struct {
	cfg config[K, C]

	mu     sync.Mutex // guards the fields below and those of entries and groups
	groups map[K]*group[K, C]
	conns  map[C]*entry[K, C] // all that are not closed
	idle   list[K, C]         // of all groups

	closed    bool
	closeIdle bool          // CloseIdle was called and no Acquire since
	dials     int           // running
	closing   int           // Closes running
	changed   chan struct{} // closed and renewed when something ends that somebody may wait for; nil while nobody does
	timer     *time.Timer   // for the next expiry
	armed     bool
	armedFor  time.Time
	leased    int
	waiting   int
	counts    Counters
}

// config is the settings of a Pool.
type config[K comparable, C Conn] struct {
	dial        func(context.Context, K) (C, error)
	onOpen      func(C)
	onWait      func(K)
	onClose     func(C, Reason)
	maxPerKey   int
	maxIdle     int
	maxIdleKey  int
	idleTimeout time.Duration
	maxLifetime time.Duration
	dialTimeout time.Duration
}

func newCore[K comparable, C Conn](p *Pool[K, C]) *core[K, C] {
	c := &core[K, C]{
		cfg: config[K, C]{
			dial: p.Dial, onOpen: p.OnOpen, onWait: p.OnWait, onClose: p.OnClose,
			maxPerKey: p.MaxConnsPerKey, maxIdle: p.MaxIdle, maxIdleKey: p.MaxIdlePerKey,
			idleTimeout: p.IdleTimeout, maxLifetime: p.MaxLifetime, dialTimeout: p.DialTimeout,
		},
		groups: map[K]*group[K, C]{},
		conns:  map[C]*entry[K, C]{},
		idle:   list[K, C]{links: inAll[K, C]},
		counts: Counters{Closes: map[Reason]int64{}},
	}
	if c.cfg.dialTimeout == 0 {
		c.cfg.dialTimeout = defaultDialTimeout
	}
	return c
}

// A todo is what was decided under the lock and is done after it. The zero todo is nothing.
type todo[K comparable, C Conn] struct {
	closes []victim[C]
	starts []*dial[K, C]
	stops  []context.CancelFunc
}

// A victim is a connection to close.
type victim[C Conn] struct {
	conn C
	why  Reason
}

// do does what was decided. It does not wait for it.
func (c *core[K, C]) do(t *todo[K, C]) {
	for _, stop := range t.stops {
		stop()
	}
	for _, d := range t.starts {
		go c.runDial(d)
	}
	for _, v := range t.closes {
		c.announce(v)
		go c.closeConn(v.conn)
	}
}

// announce tells of a close before it begins.
func (c *core[K, C]) announce(v victim[C]) {
	if c.cfg.onClose != nil {
		c.cfg.onClose(v.conn, v.why)
	}
}

// closeConn is the goroutine of one Close, which may take its time.
func (c *core[K, C]) closeConn(conn C) {
	_ = conn.Close()
	c.mu.Lock()
	c.closing--
	c.changedLocked()
	c.mu.Unlock()
}

// groupLocked returns the group of a key, new if need be.
func (c *core[K, C]) groupLocked(key K) *group[K, C] {
	g := c.groups[key]
	if g == nil {
		g = &group[K, C]{key: key, idle: list[K, C]{links: inGroup[K, C]}}
		c.groups[key] = g
	}
	return g
}

func (c *core[K, C]) forgetLocked(g *group[K, C]) {
	if g.empty() {
		delete(c.groups, g.key)
	}
}

func (c *core[K, C]) tryAcquire(key K) (Lease[K, C], bool) {
	c.mu.Lock()
	c.closeIdle = false
	g := c.groups[key]
	if g == nil || g.idle.newest == nil || len(g.waiters) > 0 {
		c.mu.Unlock()
		return Lease[K, C]{}, false
	}
	now := time.Now()
	if e := g.idle.newest; c.expiredLocked(e, now) == "" {
		l := c.leaseLocked(e, now)
		c.counts.Reuses++
		c.mu.Unlock()
		return l, true
	}
	// The timer is late, as after a suspended machine; what is too old is not lent.
	var t todo[K, C]
	c.expireLocked(now, &t)
	c.mu.Unlock()
	c.do(&t)
	return c.tryAcquire(key)
}

// leaseLocked lends an entry that is opening or idle, or was leased until now.
func (c *core[K, C]) leaseLocked(e *entry[K, C], now time.Time) Lease[K, C] {
	l := Lease[K, C]{core: c, entry: e, reused: e.used}
	if e.state == idle {
		c.idle.remove(e)
		c.groups[e.key].idle.remove(e)
		l.idle = now.Sub(e.since)
	}
	e.state, e.since, e.used = leased, now, true
	e.lease++
	l.number = e.lease
	c.leased++
	return l
}

// acquire waits for a connection.
func (c *core[K, C]) acquire(ctx context.Context, key K) (Lease[K, C], error) {
	if ctx.Err() != nil {
		return Lease[K, C]{}, context.Cause(ctx)
	}
	if l, ok := c.tryAcquire(key); ok {
		return l, nil
	}
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return Lease[K, C]{}, ErrClosed
	}
	g := c.groupLocked(key)
	if len(g.waiters) == 0 && g.idle.newest != nil {
		// Released since tryAcquire looked.
		c.mu.Unlock()
		return c.acquire(ctx, key)
	}
	w := &waiter[K, C]{ctx: ctx, result: make(chan result[K, C], 1)}
	g.waiters = append(g.waiters, w)
	c.waiting++
	var t todo[K, C]
	c.dialLocked(g, &t)
	limited := g.wanted() < len(g.waiters)
	c.mu.Unlock()
	c.do(&t)
	if limited && c.cfg.onWait != nil {
		c.cfg.onWait(key)
	}
	select {
	case r := <-w.result:
		return r.lease, r.err
	case <-ctx.Done():
		return c.leave(g, w)
	}
}

// leave ends the wait of w, whose context ended. Either it is taken out of the queue here, or it had its result before
// and hands the connection on.
func (c *core[K, C]) leave(g *group[K, C], w *waiter[K, C]) (Lease[K, C], error) {
	c.mu.Lock()
	had := w.gone
	if !had {
		var t todo[K, C]
		g.drop(w)
		c.waiting--
		c.trimDialsLocked(g, c.spareDials(), &t)
		c.forgetLocked(g)
		c.mu.Unlock()
		c.do(&t)
		return Lease[K, C]{}, context.Cause(w.ctx)
	}
	c.mu.Unlock()
	if r := <-w.result; r.err == nil {
		r.lease.Release()
	}
	return Lease[K, C]{}, context.Cause(w.ctx)
}

// endLocked ends a lease and reports whether it had not ended before.
func (c *core[K, C]) endLocked(l Lease[K, C]) bool {
	if l.entry.state != leased || l.entry.lease != l.number {
		return false
	}
	c.leased--
	return true
}

func (c *core[K, C]) release(l Lease[K, C]) bool {
	var t todo[K, C]
	c.mu.Lock()
	kept := c.endLocked(l) && c.offerLocked(l.entry, time.Now(), &t)
	c.mu.Unlock()
	c.do(&t)
	return kept
}

// offerLocked gives a connection that nobody holds to the oldest waiter, or makes it idle. It reports false if the
// connection is closed instead.
func (c *core[K, C]) offerLocked(e *entry[K, C], now time.Time, t *todo[K, C]) (kept bool) {
	g := c.groups[e.key]
	if why := c.unfitLocked(e, now); why != "" {
		c.closeLocked(e, why, t)
		return false
	}
	if w := g.pop(); w != nil {
		c.waiting--
		if e.used {
			c.counts.Reuses++
		}
		w.result <- result[K, C]{lease: c.leaseLocked(e, now)}
		c.trimDialsLocked(g, c.spareDials(), t)
		return true
	}
	e.state, e.since = idle, now
	c.idle.push(e)
	g.idle.push(e)
	switch {
	case c.closeIdle:
		c.closeLocked(e, IdleClosed, t)
	case c.cfg.maxIdleKey < 0:
		c.closeLocked(e, Evicted, t)
	case c.cfg.maxIdleKey > 0 && g.idle.n > c.cfg.maxIdleKey:
		c.closeLocked(g.idle.oldest, Evicted, t)
	case c.cfg.maxIdle > 0 && c.idle.n > c.cfg.maxIdle:
		c.closeLocked(c.idle.oldest, Evicted, t)
	}
	c.armLocked(now)
	return e.state == idle
}

// unfitLocked returns why a connection that nobody holds is not lent again, "" if it may be.
func (c *core[K, C]) unfitLocked(e *entry[K, C], now time.Time) Reason {
	switch {
	case e.retired != "":
		return e.retired
	case c.closed:
		return Closed
	case !e.expires.IsZero() && !now.Before(e.expires):
		return Lifetime
	}
	return ""
}

func (c *core[K, C]) discard(l Lease[K, C], why Reason) bool {
	var t todo[K, C]
	c.mu.Lock()
	ended := c.endLocked(l)
	if ended {
		if l.entry.retired != "" {
			why = l.entry.retired // what came first
		}
		c.closeLocked(l.entry, why, &t)
	}
	c.mu.Unlock()
	c.do(&t)
	return ended
}

func (c *core[K, C]) hijack(l Lease[K, C]) bool {
	var t todo[K, C]
	c.mu.Lock()
	ended := c.endLocked(l)
	if ended {
		c.counts.Hijacks++
		c.removeLocked(l.entry, &t)
	}
	c.mu.Unlock()
	c.do(&t)
	return ended
}

func (c *core[K, C]) retire(conn C, why Reason) {
	var t todo[K, C]
	c.mu.Lock()
	if e := c.conns[conn]; e != nil && e.retired == "" {
		e.retired = why
		if e.state == idle {
			c.closeLocked(e, why, &t)
		}
	}
	c.mu.Unlock()
	c.do(&t)
}

// closeLocked ends a connection that nobody holds.
func (c *core[K, C]) closeLocked(e *entry[K, C], why Reason, t *todo[K, C]) {
	c.counts.Closes[why]++
	c.closing++
	t.closes = append(t.closes, victim[C]{e.conn, why})
	c.removeLocked(e, t)
}

// removeLocked takes an entry out of the pool and lets a waiter dial in its place.
func (c *core[K, C]) removeLocked(e *entry[K, C], t *todo[K, C]) {
	g := c.groups[e.key]
	if e.state == idle {
		c.idle.remove(e)
		g.idle.remove(e)
	}
	e.state = closed
	delete(c.conns, e.conn)
	g.open--
	c.dialLocked(g, t)
	c.forgetLocked(g)
	c.changedLocked()
}

// lifetime returns when a connection opened now expires.
func (c *core[K, C]) lifetime(now time.Time) time.Time {
	d := c.cfg.maxLifetime
	if d <= 0 {
		return time.Time{}
	}
	return now.Add(d - time.Duration(rand.Int64N(int64(d)/10+1)))
}
