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
			if old := d.began + adoptedFor; d.adopted && m.owned(d.name) && m.now < old {
				next = min(next, old)
			}
		}
		for _, w := range m.waiters {
			next = min(next, m.patience(w))
		}
		m.now = next
		m.dialAnew("a")
		m.dialAnew("b")
		for _, w := range slices.Clone(m.waiters) {
			if m.waitTimeout > 0 && m.now > w.since && (m.now-w.since)%m.waitTimeout == 0 && m.limited(w) {
				m.leave(w.name, 0)
				m.settle(w.key)
			}
		}
		if next == until {
			break
		}
	}
	for m.idleTimeout > 0 && len(m.idle) > 0 && m.now-m.idle[0].since >= m.idleTimeout {
		m.drop(m.idle[0], pool.IdleTimeout)
	}
	for _, c := range slices.Clone(m.idle) {
		if m.expired(c) {
			m.drop(c, pool.Lifetime)
		}
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
		return d.name == w.dial && !(d.adopted && m.now-d.began >= adoptedFor)
	})
	return !hopeful && !m.dialsForAll(w.key) && m.full(w.key)
}

func (m *model) expired(c modelConn) bool { return m.lifetime > 0 && m.now-c.opened >= m.lifetime }

// undecided reports whether a connection is in the last tenth of its lifetime, in which the pool draws its end.
func (m *model) undecided() bool {
	return slices.ContainsFunc(slices.Concat(m.idle, m.leased), func(c modelConn) bool {
		return m.lifetime > 0 && !m.expired(c) && m.now-c.opened >= m.lifetime-m.lifetime/10
	})
}
