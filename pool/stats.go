package pool

import (
	"maps"
	"slices"
	"time"
)

// Stats is a snapshot of a pool.
type Stats[K comparable] struct {
	Gauges                // of all keys together
	Counters              // since the beginning
	Keys     map[K]Gauges // of each key that has a connection, a dial or a waiter now
}

// Gauges are the present.
type Gauges struct {
	Open    int // connections: idle and leased, and those between the dial and OnOpen's return
	Idle    int // connections that nobody holds
	Leased  int // connections that somebody holds
	Dialing int // dials in progress
	Waiting int // Acquires in progress that have no connection yet
}

// Counters only grow.
type Counters struct {
	Dials      int64            // dials begun
	DialErrors int64            // of these, those that failed or were cancelled
	Reuses     int64            // leases of a connection that was leased before
	Hijacks    int64            // connections taken out by Hijack
	Closes     map[Reason]int64 // connections closed by the pool
}

// Info describes a connection that the pool holds.
type Info[C Conn] struct {
	Conn   C
	Leased bool          // else it is idle
	Since  time.Duration // how long it has been so
	Age    time.Duration // since it was opened
}

func (c *core[K, C]) stats() Stats[K] {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := Stats[K]{
		Gauges: Gauges{
			Open: len(c.conns), Idle: c.idle.n, Leased: c.leased, Dialing: c.dials, Waiting: c.waiting,
		},
		Counters: c.counts,
		Keys:     make(map[K]Gauges, len(c.groups)),
	}
	s.Closes = maps.Clone(c.counts.Closes)
	for key, g := range c.groups {
		s.Keys[key] = Gauges{
			Open: g.open, Idle: g.idle.n, Leased: g.open - g.idle.n, Dialing: len(g.dials), Waiting: len(g.waiters),
		}
	}
	return s
}

func (c *core[K, C]) list(key K) []Info[C] {
	now := time.Now()
	c.mu.Lock()
	var infos []Info[C]
	for _, e := range c.conns {
		if e.key == key {
			infos = append(infos, Info[C]{Conn: e.conn, Leased: e.state == leased, Since: now.Sub(e.since), Age: now.Sub(e.opened)})
		}
	}
	c.mu.Unlock()
	slices.SortFunc(infos, func(a, b Info[C]) int { return int(b.Since - a.Since) })
	return infos
}
