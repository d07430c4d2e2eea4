package pool

import "time"

// An entry is a connection that the pool knows.
//
//	state    entered by                               left by
//	opening  a finished dial; for a moment, under     OnOpen has returned: idle or leased
//	         the lock, between two leases
//	idle     the last lease's end, a dial nobody      acquire: leased; expiry, eviction, retirement, close: gone
//	         waits for
//	leased   acquire, or given to a waiter            the last lease's end: idle, leased by a waiter, or gone; Hijack: gone
//	gone     closed or hijacked                       -
//
// An entry that is opening or leased may be retired: then it is gone once nobody holds it. Idle and retired exclude
// each other.
type entry[K comparable, C Conn] struct {
	// Set when the entry is made.
	core    *core[K, C]
	group   *group[K, C]
	conn    C
	opened  time.Duration // all times are readings of core.now
	expires time.Duration // by MaxLifetime; never if nothing bounds it

	// core.mu guards the fields below.
	state   state
	since   time.Duration // when the state was entered
	used    bool          // was leased or idle before
	retired bool
	why     Reason // why it is retired or gone

	leases []uint64  // the numbers of the leases that have not ended, ascending
	first  [1]uint64 // where leases begins, so that a connection for one at a time needs no more memory

	// For connections that are shared, see admission.go.
	full   bool   // said no, and nothing has changed since
	asking int    // calls of Admit in progress
	change uint64 // counts what may make room: ends of leases, wakes

	all  node[entry[K, C]] // in core.idle
	mine node[entry[K, C]] // in group.idle or group.sharing
	at   int               // the index in group.open
	rank int               // the index in core.lifetimes, -1 if it is not in it
}

type state uint8

const (
	opening state = iota
	idle
	leased
	gone
)

// never is a time that does not come.
const never = time.Duration(1<<63 - 1)

func newEntry[K comparable, C Conn](c *core[K, C], g *group[K, C], conn C, now time.Duration) *entry[K, C] {
	e := &entry[K, C]{core: c, group: g, conn: conn, opened: now, since: now, expires: c.drawExpiry(now), rank: -1}
	e.leases = e.first[:0]
	return e
}

// enterLocked makes e known: from now on it may be retired. It reports false if the pool knows the connection already.
func (c *core[K, C]) enterLocked(e *entry[K, C]) bool {
	if c.conns.m[e.conn] != nil {
		return false
	}
	c.conns.set(e.conn, e)
	g := e.group
	e.at = len(g.open)
	g.open = append(g.open, e)
	if e.expires != never {
		c.lifetimes.push(e)
	}
	return true
}

// leaveLocked takes e, which nobody leases, out of the pool and lets a waiter dial in its place.
func (c *core[K, C]) leaveLocked(e *entry[K, C], t *todo[K, C]) {
	g := e.group
	c.idle.remove(&e.all)
	g.idle.remove(&e.mine)
	e.state = gone
	c.conns.delete(e.conn)
	c.lifetimes.remove(e)
	last := len(g.open) - 1
	g.open[last].at = e.at
	g.open[e.at] = g.open[last]
	g.open[last] = nil
	g.open = g.open[:last]
	c.provideLocked(g, t)
	c.forgetLocked(g)
	c.disarmLocked()
	c.changedLocked()
}

// closeLocked takes e, which nobody leases, out of the pool to be closed. What retired it is why, if anything did.
func (c *core[K, C]) closeLocked(e *entry[K, C], why Reason, t *todo[K, C]) {
	c.retireLocked(e, why)
	c.counts.Closes[e.why]++
	c.working++
	t.closes = append(t.closes, victim[C]{e.conn, e.why})
	c.leaveLocked(e, t)
}

// retireLocked marks e: it is not lent any more. The first reason stays.
func (c *core[K, C]) retireLocked(e *entry[K, C], why Reason) {
	if e.retired {
		return
	}
	e.retired, e.why = true, why
	e.group.sharing.remove(&e.mine)
}

// retire is Pool.Retire.
//
// It may come while the connection is being opened, leased, released or closed: the mark is set under the lock, and
// whoever holds the connection then looks at the mark under the same lock when it lets go.
func (c *core[K, C]) retire(conn C, why Reason) {
	var t todo[K, C]
	c.mu.Lock()
	if e := c.conns.m[conn]; e != nil {
		if e.state == idle {
			c.closeLocked(e, why, &t)
		} else {
			c.retireLocked(e, why)
			c.provideLocked(e.group, &t)
		}
	}
	c.mu.Unlock()
	c.do(&t)
}
