package pool

import (
	"slices"
	"time"
)

// An entry is a connection that the pool knows. It is small, as there may be many.
//
//	state    entered by                               left by
//	opening  a finished dial; for a moment, under     OnOpen has returned: idle or leased
//	         the lock, between two leases
//	idle     the last lease's end, a dial nobody      acquire: leased; expiry, eviction, retirement, close: gone
//	         waits for
//	leased   acquire, or given to a waiter            the last lease's end: idle, leased by a waiter, or gone; Hijack: gone
//	gone     closed or hijacked                       -
//
// Leased is two states: sharing, while the connection may admit one more lease, and busy otherwise. An entry that is idle, sharing or
// busy is in the list of its group for that. One that is opening or leased may be retired: then it is gone once nobody holds it. Idle
// and retired exclude each other.
type entry[K comparable, C Conn] struct {
	// Set when the entry is made.
	group  *group[K, C]
	conn   C
	opened time.Duration // all times are readings of core.now

	// core.mu guards the fields below.
	since   time.Duration     // when the state was entered
	lease   uint64            // the number of the lease; of the oldest, if there are several; 0: there is none
	rare    *rarity           // nil most of the time
	all     node[entry[K, C]] // in core.idle
	mine    node[entry[K, C]] // in the group's list for its state
	rank    int32             // the index in core.lifetimes, -1 if it is not in it
	state   state
	used    bool // was leased or idle before
	shared  bool // it is multiplexed, as Shared said when it was dialed
	retired bool

	_ apart
}

// An apart brings entries into the size class of 128 bytes, in which there is hardly anything else. In that of 112, among the contexts and
// timers that dials leave to the collector, or that of 96, among what TLS handshakes leave, they would keep many pages alive that hold
// little else.
type apart [32]byte

type state uint8

const (
	opening state = iota
	idle
	sharing
	busy
	gone
)

func (s state) isLeased() bool { return s == sharing || s == busy }

// A rarity is what few entries need.
type rarity struct {
	why    Reason   // why it is retired or gone
	others []uint64 // the numbers of the leases but the oldest, ascending

	// For connections that are shared, see admission.go.
	full   bool   // said no, and nothing has changed since
	asking int    // calls of Admit in progress
	change uint64 // counts what may make room: ends of leases, wakes
}

func (e *entry[K, C]) rareLocked() *rarity {
	if e.rare == nil {
		e.rare = new(rarity)
	}
	return e.rare
}

// reasonLocked returns why e is retired, "" if it is not.
func (e *entry[K, C]) reasonLocked() Reason {
	if !e.retired {
		return ""
	}
	return e.rare.why
}

// never is a time that does not come.
const never = time.Duration(1<<63 - 1)

// enterLocked makes a connection known that was not: from now on it may be retired.
func (c *core[K, C]) enterLocked(g *group[K, C], conn C, now time.Duration) *entry[K, C] {
	e := &entry[K, C]{group: g, conn: conn, opened: now, since: now, rank: -1}
	c.conns.add(e)
	g.open++
	if c.cfg.maxLifetime > 0 {
		c.lifetimes.push(e, c.drawExpiry(now))
		c.armLocked(now, c.nextLocked())
	}
	return e
}

// moveLocked makes s the state of e.
func (e *entry[K, C]) moveLocked(s state) {
	g := e.group
	switch e.state {
	case idle:
		g.idle.remove(e)
		g.core.idle.remove(e)
	case sharing:
		g.sharing.remove(e)
	case busy:
		g.busy.remove(e)
		if e.isLeaving() {
			g.leaving--
		}
	}
	switch e.state = s; s {
	case idle:
		g.idle.push(e)
		g.core.idle.push(e)
	case sharing:
		g.sharing.push(e)
	case busy:
		g.busy.push(e)
		if e.isLeaving() {
			g.leaving++
		}
	}
}

// isLeaving reports whether e is left to those who lease it, of whom some may never end.
func (e *entry[K, C]) isLeaving() bool { return e.retired && e.shared }

// isJoint reports whether e may be lent to several.
func (e *entry[K, C]) isJoint() bool { return e.shared && !e.retired }

// leasesLocked returns how many leases of e have not ended.
func (e *entry[K, C]) leasesLocked() int {
	switch {
	case e.lease == 0:
		return 0
	case e.rare == nil:
		return 1
	}
	return 1 + len(e.rare.others)
}

// addLeaseLocked notes one more lease, whose number is higher than any before.
func (e *entry[K, C]) addLeaseLocked(number uint64) {
	if e.lease == 0 {
		e.lease = number
	} else {
		e.rareLocked().others = append(e.rareLocked().others, number)
	}
}

// dropLeaseLocked notes the end of a lease, and reports whether it had not ended before.
func (e *entry[K, C]) dropLeaseLocked(number uint64) bool {
	several := e.rare != nil && len(e.rare.others) > 0
	switch {
	case e.lease == number && several:
		e.lease = e.rare.others[0]
		e.rare.others = slices.Delete(e.rare.others, 0, 1)
	case e.lease == number:
		e.lease = 0
	case several:
		i, ok := slices.BinarySearch(e.rare.others, number)
		if !ok {
			return false
		}
		e.rare.others = slices.Delete(e.rare.others, i, i+1)
	default:
		return false
	}
	return true
}

// leaveLocked takes e, which nobody leases, out of the pool and lets a waiter dial in its place.
func (c *core[K, C]) leaveLocked(e *entry[K, C], t *todo[K, C]) {
	g := e.group
	e.moveLocked(gone)
	c.conns.remove(e)
	c.lifetimes.remove(e)
	g.open--
	if e.isJoint() {
		g.several--
	}
	c.provideLocked(g, t)
	c.forgetLocked(g)
	c.disarmLocked()
	c.changedLocked()
}

// closeLocked takes e, which nobody leases, out of the pool to be closed. What retired it is why, if anything did.
func (c *core[K, C]) closeLocked(e *entry[K, C], why Reason, t *todo[K, C]) {
	if e.retired {
		why = e.rare.why
	}
	c.counts.Closes[why]++
	c.working++
	t.closes = append(t.closes, victim[C]{e.conn, why, c.now() - e.opened})
	c.leaveLocked(e, t)
}

// retireLocked marks e, which is leased or opening: it is not lent any more. The first reason stays.
func (c *core[K, C]) retireLocked(e *entry[K, C], why Reason) {
	if e.retired {
		return
	}
	e.retired, e.rareLocked().why = true, why
	if e.shared {
		e.group.several--
		e.group.carried -= e.leasesLocked()
	}
	switch {
	case e.state == sharing:
		e.moveLocked(busy)
	case e.state == busy && e.isLeaving():
		e.group.leaving++
	}
}

// retire is Pool.Retire.
//
// It may come while the connection is being opened, leased, released or closed: the mark is set under the lock, and
// whoever holds the connection then looks at the mark under the same lock when it lets go.
func (c *core[K, C]) retire(conn C, why Reason) {
	var t todo[K, C]
	c.mu.Lock()
	if e := c.conns.find(conn); e != nil {
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
