package pool_test

import (
	"math"
	"slices"
	"time"

	"github.com/watertight-go/watertight/pool"
)

// pass lets time go by, and happen what is due.
func (m *model) pass(d time.Duration) {
	until := m.now + d
	for {
		next := until
		for _, d := range m.dials {
			if old := d.began + reliedOnFor; (d.adopted || m.joint[d.key]) && m.owned(d.name) && m.now < old {
				next = min(next, old)
			}
		}
		for _, w := range m.waiters {
			next = min(next, m.patience(w))
		}
		for _, c := range m.idle {
			if m.idleTimeout > 0 {
				next = min(next, c.since+m.idleTimeout)
			}
		}
		for _, c := range slices.Concat(m.idle, m.leased) {
			if m.lifetime > 0 && !m.expired(c) {
				next = min(next, c.opened+m.lifetime)
			}
		}
		m.now = next
		m.expire()
		m.settle("a")
		m.settle("b")
		for _, w := range slices.Clone(m.waiters) {
			if m.waitTimeout > 0 && m.now > w.since && (m.now-w.since)%m.waitTimeout == 0 && m.limited(w) {
				m.leave(w.name, 0)
				m.settle(w.key)
			}
		}
		if next == until {
			return
		}
	}
}

// expire ends the use of connections that are too old now. Leased ones make room for those who wait for them.
func (m *model) expire() {
	for m.idleTimeout > 0 && len(m.idle) > 0 && m.now-m.idle[0].since >= m.idleTimeout {
		m.drop(m.idle[0], pool.IdleTimeout)
	}
	for _, c := range slices.Clone(m.idle) {
		if m.expired(c) {
			m.drop(c, pool.Lifetime)
		}
	}
	if !m.waitForShared() || m.closed {
		return
	}
	expired := map[string]bool{}
	for i := range m.leased {
		if c := &m.leased[i]; m.expired(*c) {
			c.retire(pool.Lifetime)
			expired[c.key] = true
		}
	}
	for key := range expired {
		m.settle(key)
	}
}

// patience is when a waiter next asks itself whether to go on.
func (m *model) patience(w modelWaiter) time.Duration {
	if m.waitTimeout == 0 {
		return math.MaxInt64
	}
	return w.since + ((m.now-w.since)/m.waitTimeout+1)*m.waitTimeout
}

// limited reports whether a waiter waits because it may not dial, and not for a dial that leads anywhere.
func (m *model) limited(w modelWaiter) bool {
	hopeful := slices.ContainsFunc(m.dials, func(d modelDial) bool {
		return d.name == w.dial && !m.old(d)
	})
	return !hopeful && !(m.joint[w.key] && m.awaited(w.key) > 0) && m.full(w.key)
}

func (m *model) expired(c modelConn) bool { return m.lifetime > 0 && m.now-c.opened >= m.lifetime }

// mayBeRetired reports whether the pool may have noticed that a connection is too old, or not yet: where nobody waits for it, it makes no
// difference.
func (m *model) mayBeRetired(c modelConn) bool { return m.expired(c) && !m.waitForShared() }
