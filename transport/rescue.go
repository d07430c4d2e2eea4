package transport

import (
	"cmp"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// rescueAfter is how long a body must be unread to be suspected of being dropped, and how often those are looked for who
// starve.
const rescueAfter = 500 * time.Millisecond

// A rescuer helps requests that wait for a connection while leaked bodies hold all that MaxConnsPerHost allows.
type rescuer struct {
	armed atomic.Bool  // a timer is set, or the rescue that sets it is running
	last  atomic.Int64 // when a rescue was made, by the core's clock
}

// starving is told that a request waits under MaxConnsPerHost.
func (c *core) starving() {
	if c.rescuer.armed.Load() || !c.rescuer.armed.CompareAndSwap(false, true) {
		return
	}
	wait := rescueAfter
	if last := c.rescuer.last.Load(); last != 0 {
		wait -= c.clock() - time.Duration(last)
	} else {
		wait = 0
	}
	time.AfterFunc(max(wait, 0), c.rescue)
}

// rescue is the timer's function. It goes on for as long as somebody waits.
func (c *core) rescue() {
	c.rescuer.last.Store(int64(max(c.clock(), 1)))
	starving := c.starvingByRoute()
	if len(starving) == 0 {
		c.rescuer.armed.Store(false)
		if len(c.starvingByRoute()) > 0 {
			c.starving() // who came since has seen the timer set
		}
		return
	}
	c.relieve(starving)
	next := rescueAfter
	if c.bubble {
		// Nothing is dropped there that a collection could find, and a timer that goes on for ever would hide a deadlock.
		var left bool
		if next, left = c.untilForgotten(starving); !left {
			c.rescuer.armed.Store(false)
			return
		}
	}
	time.AfterFunc(next, c.rescue)
}

// untilForgotten tells how long until a body may be forgotten that holds what is waited for, and whether there is one.
func (c *core) untilForgotten(wanted map[route]int) (next time.Duration, left bool) {
	next = c.watchman.after
	for _, s := range c.bodies.owners() {
		if unread, state := s.unread(); state == unattended && wanted[s.onRoute()] > 0 && c.watchman.after > 0 {
			next, left = min(next, max(c.watchman.after-unread, rescueAfter)), true
		}
	}
	return next, left
}

// starvingByRoute tells how many requests wait for a connection that nobody dials.
func (c *core) starvingByRoute() map[route]int {
	starving := map[route]int{}
	for _, k := range c.pool.Stats().Keys {
		if n := k.Waiting - k.Dialing; n > 0 {
			starving[k.Key] = n
		}
	}
	return starving
}

// relieve takes as many connections of each route as are asked for from bodies that were forgotten. If others might have been
// dropped, a collection finds out.
func (c *core) relieve(wanted map[route]int) {
	if c.reclaimForgotten(func(r route) bool { return wanted[r] > 0 }, func(r route) { wanted[r]-- }) {
		c.collect()
	}
}

// reclaimForgotten takes connections back from bodies that were forgotten, the longest unread first, as far as they are wanted, and tells
// took of each. It reports whether others that are wanted might have been dropped.
func (c *core) reclaimForgotten(wanted func(route) bool, took func(route)) (suspect bool) {
	bodies := c.bodies.owners()
	slices.SortFunc(bodies, func(x, y bodyOwner) int { return cmp.Compare(x.lastReadAt(), y.lastReadAt()) })
	for _, s := range bodies {
		unread, state := s.unread()
		r := s.onRoute()
		switch {
		case state != unattended || unread < rescueAfter || !wanted(r):
		case c.watchman.after > 0 && unread >= c.watchman.after:
			if s.reclaim(Forgotten) {
				took(r)
			}
		default:
			suspect = true
		}
	}
	return suspect
}

// collect runs the collector, which finds dropped bodies, unless it ran for that a moment ago.
func (c *core) collect() {
	if !c.bubble && collections.allowed() {
		runtime.GC()
	}
}

// collections bounds how often rescues run the collector. It is one for the process, as the collector is: whoever runs it
// serves all, and all pay.
var collections collectionLimit

const (
	minCollectionPause = 10 * time.Second
	maxCollectionPause = 10 * time.Minute
)

// A collectionLimit doubles the pause after each collection that found no dropped body.
type collectionLimit struct {
	found atomic.Int64 // dropped bodies

	mu     sync.Mutex // guards the fields below
	last   time.Time
	pause  time.Duration
	before int64 // found, at the last collection
}

// allowed reports whether it is time for a collection, which the caller then makes.
func (l *collectionLimit) allowed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.last.IsZero() && time.Since(l.last) < l.pause {
		return false
	}
	found := l.found.Load()
	if l.last.IsZero() || found > l.before {
		l.pause = minCollectionPause
	} else {
		l.pause = min(2*l.pause, maxCollectionPause)
	}
	l.last, l.before = time.Now(), found
	return true
}
