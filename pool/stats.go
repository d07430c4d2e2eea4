package pool

import (
	"cmp"
	"maps"
	"runtime"
	"slices"
	"time"
)

// Stats is a snapshot of a pool, all of one moment.
type Stats[K comparable] struct {
	Gauges                  // of all keys together
	Counters                // since the pool's first use
	Keys     []KeyGauges[K] `json:"keys"` // of each key that has a connection, a dial or a waiter now, in no order
}

// KeyGauges are the gauges of one key.
type KeyGauges[K comparable] struct {
	Key    K `json:"key"`
	Gauges   // of this key alone
}

// Gauges describe the present. For a key, Open and Dialing together never exceed MaxConnsPerKey, except for multiplexed connections that
// are retired and still leased: these are open, and do not count against the limit.
type Gauges struct {
	Open    int `json:"open"`    // connections: Idle and Leased
	Idle    int `json:"idle"`    // connections that nobody leases
	Leased  int `json:"leased"`  // connections that somebody leases
	Leases  int `json:"leases"`  // leases: more than Leased if connections are shared
	Dialing int `json:"dialing"` // dials in progress, until OnOpen has returned
	Waiting int `json:"waiting"` // Acquires in progress that have no connection yet
}

// Counters only grow. When no dial is in progress, Dials minus DialErrors connections have been opened; the sum of Closes have been
// closed.
type Counters struct {
	Dials      int64            `json:"dials"`       // dials begun
	DialErrors int64            `json:"dial_errors"` // of these, those that failed or were cancelled
	Reuses     int64            `json:"reuses"`      // leases of a connection that was leased or idle before
	Hijacks    int64            `json:"hijacks"`     // connections taken out by Hijack
	Closes     map[Reason]int64 `json:"closes"`      // connections that the pool closed, or is closing, by reason
}

// Info describes a connection of the pool.
type Info[C Conn] struct {
	Conn    C
	Leased  bool          // else it is idle
	Leases  int           // on it now: more than 1 only if it is shared
	Retired Reason        // why it is to be closed when its leases end; "" if it is not
	Since   time.Duration // for how long it has been leased or idle
	Age     time.Duration // since it was opened
}

// stats is Pool.Stats.
func (c *core[K, C]) stats() Stats[K] {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := Stats[K]{
		Gauges:   c.totalLocked(),
		Counters: c.counts,
		Keys:     make([]KeyGauges[K], 0, len(c.groups.m)),
	}
	s.Closes = maps.Clone(c.counts.Closes)
	for key, g := range c.groups.m {
		s.Keys = append(s.Keys, KeyGauges[K]{Key: key, Gauges: g.gauges()})
	}
	return s
}

// total is Pool.Total.
func (c *core[K, C]) total() Gauges {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.totalLocked()
}

func (c *core[K, C]) totalLocked() Gauges {
	return Gauges{
		Open: c.idle.n + c.leased, Idle: c.idle.n, Leased: c.leased, Leases: c.leases,
		Dialing: c.dialing, Waiting: c.waiting,
	}
}

// gauges is Pool.Gauges.
func (c *core[K, C]) gauges(key K) Gauges {
	c.mu.Lock()
	defer c.mu.Unlock()
	if g := c.groups.m[key]; g != nil {
		return g.gauges()
	}
	return Gauges{}
}

// walkAtOnce is how many connections All looks at while it holds the lock: for about 10 microseconds.
const walkAtOnce = 100

// all is Pool.All. Between two batches the index may change: who leaves it is seen to be gone, and nobody in it moves, but into new slots
// where these are too many or too few.
func (c *core[K, C]) all(yield func(K, Info[C]) bool) {
	batch := make([]Info[C], 0, walkAtOnce)
	keys := make([]K, 0, walkAtOnce)
	told := func() bool {
		for i, info := range batch {
			if !yield(keys[i], info) {
				return false
			}
		}
		batch, keys = batch[:0], keys[:0]
		return true
	}
	c.mu.Lock()
	for _, e := range c.conns.slots {
		if e == nil || e.state != idle && !e.state.isLeased() {
			continue
		}
		batch, keys = append(batch, e.infoLocked(c.now())), append(keys, e.group.key)
		if len(batch) < walkAtOnce {
			continue
		}
		c.mu.Unlock()
		if !told() {
			return
		}
		runtime.Gosched()
		c.mu.Lock()
	}
	c.mu.Unlock()
	told()
}

// infoLocked describes e.
func (e *entry[K, C]) infoLocked(now time.Duration) Info[C] {
	return Info[C]{
		Conn: e.conn, Leased: e.state.isLeased(), Leases: e.leasesLocked(), Retired: e.reasonLocked(),
		Since: now - e.since, Age: now - e.opened,
	}
}

// list is Pool.Conns.
func (c *core[K, C]) list(key K) []Info[C] {
	infos := c.listUnsorted(key)
	slices.SortStableFunc(infos, func(a, b Info[C]) int { return cmp.Compare(b.Since, a.Since) })
	return infos
}

func (c *core[K, C]) listUnsorted(key K) []Info[C] {
	c.mu.Lock()
	defer c.mu.Unlock()
	g := c.groups.m[key]
	if g == nil {
		return nil
	}
	now := c.now()
	infos := make([]Info[C], 0, g.open)
	for _, first := range []*entry[K, C]{g.idle.first, g.sharing.first, g.busy.first} {
		for e := first; e != nil; e = e.mine.next {
			infos = append(infos, e.infoLocked(now))
		}
	}
	return infos
}
