package pool_test

import (
	"slices"

	"github.com/watertight-go/watertight/pool"
)

// A sharing is the part of a model that is about connections with several leases.
type sharing struct {
	admits      bool            // there is Admit
	multiplexed map[string]bool // what Shared says of the keys; nil: there is no Shared
	joint       map[string]bool // what it said when it was last asked
	oneShared   bool
	capacity    map[int]int // how many leases Admit allows, by connection

	// chosen is what the pool lent last, 0 if nothing: where several connections have room, it may lend any.
	chosen int
}

// hasRoom reports whether a leased connection may have one more lease.
func (m *model) hasRoom(c modelConn) bool {
	shareable := m.admits && (m.multiplexed == nil || c.multiplexed)
	return shareable && !m.closed && c.retired == "" && !m.expired(c) && c.leases < m.capacity[c.name]
}

// share leases a connection that others lease already, and returns its name; 0: none has room.
func (m *model) share(key string) int {
	var at []int
	for i, c := range m.leased {
		if c.key == key && m.hasRoom(c) {
			at = append(at, i)
		}
	}
	if len(at) == 0 {
		return 0
	}
	i := at[0]
	for _, j := range at {
		if m.leased[j].name == m.chosen {
			i = j
		}
	}
	m.leased[i].leases++
	m.reuses++
	return m.leased[i].name
}

// admit serves those who wait for a key, the oldest first, until nothing has room.
func (m *model) admit(key string) {
	for {
		oldest := slices.IndexFunc(m.waiters, func(w modelWaiter) bool { return w.key == key })
		if oldest < 0 {
			return
		}
		got := m.share(key)
		if got == 0 {
			return
		}
		m.leave(m.waiters[oldest].name, got)
	}
}

// ask asks Shared.
func (m *model) ask(key string) bool {
	m.joint[key] = m.multiplexed[key]
	return m.joint[key]
}

// awaited returns how many dials of a key somebody waits for.
func (m *model) awaited(key string) (n int) {
	for _, d := range m.dials {
		if d.key == key && m.owned(d.name) {
			n++
		}
	}
	return n
}

// needed returns how many dials those should wait for who wait for a multiplexed key: one where no connection tells how many share one,
// else as many as will do if the next ones are like those that there are.
func (m *model) needed(key string) int {
	conns, leases, waiting := 0, 0, len(ofKey(m.waiters, key, waiterKey))
	for _, c := range m.leased {
		if c.key == key && c.multiplexed && c.retired == "" {
			conns++
			leases += c.leases
		}
	}
	n := 1
	for conns > 0 && n*leases < waiting*conns {
		n++
	}
	return n
}

// isWhole reports whether a multiplexed key has a connection that others may still join, some time.
func (m *model) isWhole(key string) bool {
	return m.joint[key] && slices.ContainsFunc(slices.Concat(m.idle, m.leased), func(c modelConn) bool {
		return c.key == key && c.multiplexed && c.retired == ""
	})
}

// leaving returns how many connections of a key count no more for the limit, as they are multiplexed and retired.
func (m *model) leaving(key string) (n int) {
	for _, c := range m.leased {
		if c.key == key && c.multiplexed && c.retired != "" {
			n++
		}
	}
	return n
}

// waitForShared reports whether some may wait for a multiplexed connection that is leased until it is retired.
func (m *model) waitForShared() bool { return m.oneShared || m.limit > 0 && m.multiplexed != nil }

// refuse gives the error of a dial to who waits for it, and of those who have none to as many that each of the dials has its share.
func (m *model) refuse(owner modelWaiter, d modelDial, awaited int) {
	waiting := len(ofKey(m.waiters, d.key, waiterKey))
	m.leave(owner.name, 0)
	for n := awaited; d.forMany && n < waiting; n += awaited {
		next := slices.IndexFunc(m.waiters, func(w modelWaiter) bool { return w.key == d.key && w.dial == 0 })
		m.leave(m.waiters[next].name, 0)
	}
}

// endOneOf ends one of several leases, after which the connection stays open. Nobody can hijack it.
func (m *model) endOneOf(name int, how string) {
	i := slices.IndexFunc(m.leased, func(c modelConn) bool { return c.name == name })
	if how == "hijack" {
		return
	}
	c := &m.leased[i]
	c.leases--
	if how == "discard" {
		c.retire("discarded")
	}
}

// retire marks a connection that is leased. The first reason stays.
func (c *modelConn) retire(why pool.Reason) {
	if c.retired == "" {
		c.retired = why
	}
}

// resize changes how many leases Admit allows, and wakes those who wait if it is more than before.
func (m *model) resize(c modelConn, capacity int) (wake bool) {
	wake = capacity > m.capacity[c.name]
	m.capacity[c.name] = capacity
	m.settle(c.key)
	return wake
}
