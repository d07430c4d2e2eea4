package pool_test

import (
	"slices"
	"time"

	"github.com/watertight-go/watertight/pool"
)

// A model is what a pool should do, written as simply as can be: slices that are searched from one end to the other.
// Its connections and dials have the name of the Acquire that the dial was started for, and again more for each before.
type model struct {
	limit, maxIdle, maxIdleKey int
	idleTimeout, lifetime      time.Duration // 0: none
	waitTimeout                time.Duration // 0: none
	sharing                                  // the zero one: nothing is shared

	now       time.Duration
	idle      []modelConn // the least recently used first
	leased    []modelConn
	waiters   []modelWaiter  // the oldest first
	told      map[string]int // calls of OnWait, by key
	dials     []modelDial    // in the order in which they began
	closes    map[pool.Reason]int64
	begun     int64 // dials
	failed    int64
	reuses    int64
	hijacks   int64
	served    map[int]int // who waited, and the connection it got; 0: an error
	closeIdle bool
	closed    bool
}

type modelConn struct {
	name    int
	key     string
	since   time.Duration
	opened  time.Duration
	leases  int
	retired pool.Reason // why; "": it is not

	multiplexed bool // as Shared said when it was dialed
}

type modelWaiter struct {
	name  int
	key   string
	since time.Duration
	dial  int // 0: none

	begun int  // dials
	told  bool // OnWait was called for it
}

type modelDial struct {
	name    int
	key     string
	began   time.Duration
	adopted bool
	forMany bool // its error is for its share of those who wait
}

func ofKey[T any](all []T, key string, keyOf func(T) string) (some []T) {
	for _, x := range all {
		if keyOf(x) == key {
			some = append(some, x)
		}
	}
	return some
}

func connKey(c modelConn) string     { return c.key }
func waiterKey(w modelWaiter) string { return w.key }
func dialKey(d modelDial) string     { return d.key }

func (m *model) drop(c modelConn, why pool.Reason) {
	m.closes[why]++
	m.remove(c.name)
}

func (m *model) remove(name int) {
	same := func(c modelConn) bool { return c.name == name }
	m.idle = slices.DeleteFunc(m.idle, same)
	m.leased = slices.DeleteFunc(m.leased, same)
}

// owned reports whether somebody waits for a dial.
func (m *model) owned(name int) bool {
	return slices.ContainsFunc(m.waiters, func(w modelWaiter) bool { return w.dial == name })
}

func (m *model) full(key string) bool {
	if m.oneShared && m.isWhole(key) {
		return true
	}
	return len(ofKey(m.idle, key, connKey))+len(ofKey(m.leased, key, connKey))-m.leaving(key)+len(ofKey(m.dials, key, dialKey)) >= m.limit
}

// settle lets those who wait share what has room, and dials begin, pass to those who have none, and be cancelled.
func (m *model) settle(key string) {
	m.admit(key)
	for i := range m.waiters {
		w := &m.waiters[i]
		if w.key != key || w.dial != 0 {
			continue
		}
		if m.joint[key] && m.awaited(key) >= m.needed(key) && m.mayRely(key) {
			break
		}
		for j := range m.dials {
			d := &m.dials[j]
			if d.key == key && !m.owned(d.name) && (m.full(key) || m.now-d.began < reliedOnFor) {
				w.dial, d.adopted = d.name, true
				break
			}
		}
		if w.dial == 0 && !m.full(key) {
			m.begin(w)
		}
	}
	m.dialAnew(key)
}

// again is what the name of a second dial for an Acquire has more than that of the first.
const again = 1000

func (m *model) begin(w *modelWaiter) {
	w.dial = w.name + again*w.begun
	w.begun++
	m.begun++
	m.dials = append(m.dials, modelDial{name: w.dial, key: w.key, began: m.now, forMany: m.joint[w.key]})
}

// mayRely reports whether those who have no dial may rely on those of others.
func (m *model) mayRely(key string) bool {
	return m.full(key) || slices.ContainsFunc(m.dials, func(d modelDial) bool { return d.key == key && m.owned(d.name) && m.now-d.began < reliedOnFor })
}

// reliedOnFor is how long a dial that another began is waited for instead of a new one.
const reliedOnFor = 250 * time.Millisecond

// dialAnew lets those who have waited long enough for another's dial begin one, or one for all where all wait for such dials.
func (m *model) dialAnew(key string) {
	hopeful := slices.ContainsFunc(m.dials, func(d modelDial) bool { return d.key == key && m.owned(d.name) && !m.old(d) })
	for i := range m.waiters {
		w := &m.waiters[i]
		old := slices.ContainsFunc(m.dials, func(d modelDial) bool { return d.name == w.dial && m.old(d) })
		if w.key == key && old && !m.full(key) && !(m.joint[key] && hopeful) {
			m.begin(w)
			hopeful = true
		}
	}
	spare := m.maxIdleKey
	if spare == 0 {
		spare = 64
	}
	if m.trim(key, max(spare, 0)) {
		m.settle(key) // there is room now
	}
}

// old reports whether a dial is another's and not relied on any more.
func (m *model) old(d modelDial) bool { return d.adopted && m.now-d.began >= reliedOnFor }

// trim cancels the youngest dials that nobody waits for; they end at once. It reports whether there were any.
func (m *model) trim(key string, keep int) (any bool) {
	abandoned := slices.DeleteFunc(ofKey(m.dials, key, dialKey), func(d modelDial) bool { return m.owned(d.name) })
	for _, d := range abandoned[min(keep, len(abandoned)):] {
		m.dials = slices.DeleteFunc(m.dials, func(x modelDial) bool { return x == d })
		m.failed++
		any = true
	}
	return any
}

// offer gives a connection to the oldest waiter or makes it idle.
func (m *model) offer(c modelConn) {
	switch {
	case m.closed:
		m.closes[pool.Closed]++
		return
	case m.expired(c):
		m.closes[pool.Lifetime]++
		return
	}
	if ws := ofKey(m.waiters, c.key, waiterKey); len(ws) > 0 {
		m.lend(c)
		m.leave(ws[0].name, c.name)
		return
	}
	c.since = m.now
	switch {
	case m.closeIdle:
		m.closes[pool.IdleClosed]++
		return
	case m.maxIdleKey < 0:
		m.closes[pool.Evicted]++
		return
	}
	m.idle = append(m.idle, c)
	if mine := ofKey(m.idle, c.key, connKey); m.maxIdleKey > 0 && len(mine) > m.maxIdleKey {
		m.drop(mine[0], pool.Evicted)
	} else if m.maxIdle > 0 && len(m.idle) > m.maxIdle {
		m.drop(m.idle[0], pool.Evicted)
	}
}

// lend leases a connection that nobody leases.
func (m *model) lend(c modelConn) {
	c.leases = 1
	m.leased = append(m.leased, c)
}

// leave ends a wait. A dial that goes on passes to the first who has none.
func (m *model) leave(name, got int) {
	i := slices.IndexFunc(m.waiters, func(w modelWaiter) bool { return w.name == name })
	left := m.waiters[i]
	m.waiters = slices.Delete(m.waiters, i, i+1)
	m.served[name] = got
	d := slices.IndexFunc(m.dials, func(d modelDial) bool { return d.name == left.dial })
	next := slices.IndexFunc(m.waiters, func(w modelWaiter) bool { return w.key == left.key && w.dial == 0 })
	if d >= 0 && next >= 0 {
		m.waiters[next].dial, m.dials[d].adopted = left.dial, true
	}
}

// try returns the connection that is lent at once, 0 for none.
func (m *model) try(key string) int {
	m.closeIdle = false
	mine := ofKey(m.idle, key, connKey)
	if len(mine) == 0 {
		return m.share(key)
	}
	c := mine[len(mine)-1]
	m.remove(c.name)
	m.lend(c)
	m.reuses++
	return c.name
}

func (m *model) acquire(name int, key string) {
	if m.closed {
		m.served[name] = 0
		return
	}
	if got := m.try(key); got != 0 {
		m.served[name] = got
		return
	}
	m.ask(key)
	m.waiters = append(m.waiters, modelWaiter{name: name, key: key, since: m.now})
	m.settle(key)
	m.tell(key, func(w modelWaiter) bool { return w.name == name })
}

// tell calls OnWait for some of those who wait because they may not dial, once for each.
func (m *model) tell(key string, some func(modelWaiter) bool) {
	for i := range m.waiters {
		if w := &m.waiters[i]; w.key == key && !w.told && some(*w) && m.limited(*w) {
			w.told = true
			m.told[key]++
		}
	}
}

// How a dial ends.
type outcome int

const (
	succeeded outcome = iota
	failed
	hungUp // the connection is retired before anybody could lease it
)

// dialed ends a dial, whose connection is nobody's if it failed.
func (m *model) dialed(d modelDial, how outcome) {
	awaited := m.awaited(d.key)
	m.dials = slices.DeleteFunc(m.dials, func(x modelDial) bool { return x == d })
	i := slices.IndexFunc(m.waiters, func(w modelWaiter) bool { return w.dial == d.name })
	multiplexed := how != failed && m.ask(d.key)
	if how != succeeded {
		if how == failed {
			m.failed++
		} else {
			m.closes["retired"]++
		}
		if i >= 0 {
			m.refuse(m.waiters[i], d, awaited)
		}
	} else {
		if i >= 0 { // the oldest gets the connection, and this one its dial
			oldest := slices.IndexFunc(m.waiters, func(w modelWaiter) bool { return w.key == d.key })
			m.waiters[i].dial = m.waiters[oldest].dial
			m.waiters[oldest].dial = 0
			if i == oldest {
				m.waiters[i].dial = 0
			}
		}
		m.offer(modelConn{name: d.name, key: d.key, opened: m.now, multiplexed: multiplexed})
	}
	m.settle(d.key)
	m.tell(d.key, func(w modelWaiter) bool { return w.dial == 0 })
}

// end ends a lease of a connection.
func (m *model) end(c modelConn, how string) {
	if c.leases > 1 {
		m.endOneOf(c.name, how)
		m.settle(c.key)
		return
	}
	m.remove(c.name)
	switch {
	case how == "hijack":
		m.hijacks++
	case c.retired != "":
		m.closes[c.retired]++
	case how == "discard":
		m.closes["discarded"]++
	default:
		waiting := len(m.waiters)
		m.offer(c)
		if len(m.waiters) < waiting {
			m.reuses++
		}
	}
	m.settle(c.key)
}

func (m *model) retire(name int) {
	for i := range m.leased {
		if c := &m.leased[i]; c.name == name {
			c.retire("retired")
			m.settle(c.key) // OneShared may allow a dial now
			return
		}
	}
	for _, c := range m.idle {
		if c.name == name {
			m.drop(c, "retired")
			m.settle(c.key)
			return
		}
	}
}

func (m *model) closeOldest(n int) {
	for ; n > 0 && len(m.idle) > 0; n-- {
		m.drop(m.idle[0], pool.IdleClosed)
	}
}

func (m *model) close() {
	m.closed = true
	for len(m.waiters) > 0 {
		m.leave(m.waiters[0].name, 0)
	}
	m.failed += int64(len(m.dials))
	m.dials = nil
	for len(m.idle) > 0 {
		m.drop(m.idle[0], pool.Closed)
	}
}

// gauges are those of a key, or with "" of all.
func (m *model) gauges(key string) (g pool.Gauges) {
	for _, c := range m.idle {
		if key == "" || c.key == key {
			g.Idle++
		}
	}
	for _, c := range m.leased {
		if key == "" || c.key == key {
			g.Leased++
			g.Leases += c.leases
		}
	}
	for _, d := range m.dials {
		if key == "" || d.key == key {
			g.Dialing++
		}
	}
	for _, w := range m.waiters {
		if key == "" || w.key == key {
			g.Waiting++
		}
	}
	g.Open = g.Idle + g.Leased
	return g
}
