package pool_test

import (
	"context"
	"flag"
	"testing"
	"testing/synctest"
)

var allOfThem = flag.Bool("everyorder", false, "have TestEveryOrder run also what takes minutes")

// orders is what happens at once: ready connections, of which some are held, and operations.
type orders struct {
	name        string
	limit       int
	maxIdle     int
	ready, held int
	askers      int  // how many of the operations are an Acquire
	many        bool // too many for each run of the tests
	ops         func(held []lease) []operation
}

// ends is an operation that ends a lease.
func ends(name string, l lease, how func(*crew, lease)) operation {
	return operation{name, func(c *crew) { how(c, l) }}
}

func discard(c *crew, l lease) {
	c.done(l)
	l.Discard("discarded")
}

// both ends a lease twice: the second does nothing, also when somebody else has the connection.
func both(c *crew, l lease) {
	c.done(l)
	l.Release()
	c.pass("ending it again")
	l.Discard("late")
}

func hijack(c *crew, l lease) {
	c.done(l)
	if l.Hijack() {
		c.mu.Lock()
		c.taken++
		c.mu.Unlock()
	}
}

// gaveUp is an Acquire whose context ends, and the end of it.
func gaveUp(name string) []operation {
	ctx, cancel := context.WithCancel(context.Background())
	return []operation{
		{name, func(c *crew) { c.acquire(ctx, name, release) }},
		{name + " gives up", func(*crew) { cancel() }},
	}
}

// atOnce ends a lease in the same moment in which a context ends.
func atOnce(name string, l lease) []operation {
	ctx, cancel := context.WithCancel(context.Background())
	return []operation{
		{name, func(c *crew) { c.acquire(ctx, name, release) }},
		{"release, and " + name + " gives up", func(c *crew) {
			c.done(l)
			l.Release()
			cancel()
		}},
	}
}

var (
	closesAll = operation{"Close", func(c *crew) {
		c.mu.Lock()
		c.closed = true
		c.mu.Unlock()
		_ = c.pool.Close()
	}}
	closesIdle = operation{"CloseIdle", func(c *crew) { c.pool.CloseIdle() }}
	closesOne  = operation{"CloseOldestIdle", func(c *crew) { c.pool.CloseOldestIdle(1) }}
)

func side(ops ...operation) func([]lease) []operation {
	return func([]lease) []operation { return ops }
}

var allOrders = []orders{
	{name: "hang-up and two who ask", limit: 1, ready: 1, askers: 2, ops: side(retires(1), acquires("A"), acquires("B"))},
	{name: "hang-up twice and one who asks", limit: 1, ready: 1, askers: 1, ops: side(retires(1), operation{"again", func(c *crew) { c.pool.Retire(c.conn(1), "again") }}, acquires("A"))},
	{name: "hang-up, release, one who asks", limit: 1, ready: 1, held: 1, askers: 1, ops: func(h []lease) []operation {
		return []operation{retires(1), ends("release", h[0], release), acquires("A")}
	}},
	{name: "hang-up, release, two who ask, two allowed", many: true, limit: 2, ready: 1, held: 1, askers: 2, ops: func(h []lease) []operation {
		return []operation{retires(1), ends("release", h[0], release), acquires("A"), acquires("B")}
	}},
	{name: "hang-up, release, Close", limit: 1, ready: 1, held: 1, ops: func(h []lease) []operation {
		return []operation{retires(1), ends("release", h[0], release), closesAll}
	}},
	{name: "hang-up, release, Close, one who asks", limit: 1, ready: 1, held: 1, askers: 1, ops: func(h []lease) []operation {
		return []operation{retires(1), ends("release", h[0], release), closesAll, acquires("A")}
	}},
	{name: "hang-up, release, CloseIdle, one who asks", limit: 1, ready: 1, held: 1, askers: 1, ops: func(h []lease) []operation {
		return []operation{retires(1), ends("release", h[0], release), closesIdle, acquires("A")}
	}},
	{name: "hang-up, discard, one who asks", limit: 1, ready: 1, held: 1, askers: 1, ops: func(h []lease) []operation {
		return []operation{retires(1), ends("discard", h[0], discard), acquires("A")}
	}},
	{name: "hang-up, hijack, one who asks", limit: 1, ready: 1, held: 1, askers: 1, ops: func(h []lease) []operation {
		return []operation{retires(1), ends("hijack", h[0], hijack), acquires("A")}
	}},
	{name: "a lease that ends twice, hang-up, one who asks", limit: 1, ready: 1, held: 1, askers: 1, ops: func(h []lease) []operation {
		return []operation{retires(1), ends("release", h[0], both), acquires("A")}
	}},
	{name: "release, one who gives up, another", limit: 1, ready: 1, held: 1, askers: 2, ops: func(h []lease) []operation {
		return append(gaveUp("A"), ends("release", h[0], release), acquires("B"))
	}},
	{name: "release, hang-up, one who gives up", limit: 1, ready: 1, held: 1, askers: 1, ops: func(h []lease) []operation {
		return append(gaveUp("A"), ends("release", h[0], release), retires(1))
	}},
	{name: "release in the moment in which one gives up", limit: 1, ready: 1, held: 1, askers: 2, ops: func(h []lease) []operation {
		return append(atOnce("A", h[0]), acquires("B"))
	}},
	{name: "a dial, and who asked for it gives up, another", limit: 1, askers: 2, ops: func([]lease) []operation {
		return append(gaveUp("A"), acquires("B"))
	}},
	{name: "a dial, Close", limit: 1, askers: 1, ops: side(acquires("A"), closesAll)},
	{name: "a dial, CloseIdle, who asked gives up", limit: 1, askers: 1, ops: func([]lease) []operation { return append(gaveUp("A"), closesIdle) }},
	{name: "two who release where one may be idle, hang-up", limit: 2, maxIdle: 1, ready: 2, held: 2, ops: func(h []lease) []operation {
		return []operation{ends("release 1", h[0], release), ends("release 2", h[1], release), retires(1)}
	}},
	{name: "two who release where none may be idle, one who asks", limit: 2, maxIdle: -1, ready: 2, held: 2, askers: 1, ops: func(h []lease) []operation {
		return []operation{ends("release 1", h[0], release), ends("release 2", h[1], release), acquires("A")}
	}},
	{name: "CloseOldestIdle, hang-up, one who asks", limit: 1, ready: 1, askers: 1, ops: side(closesOne, retires(1), acquires("A"))},
	{name: "CloseIdle, Close, hang-up", limit: 1, ready: 1, ops: side(closesIdle, closesAll, retires(1))},
}

// TestEveryOrder runs each set of operations in every order that their steps may come in. In all of them each connection is closed exactly
// once, and never lent after; the counts are exact at each step; whoever asks is served or told why not.
func TestEveryOrder(t *testing.T) {
	for _, s := range allOrders {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			if s.many && !*allOfThem {
				t.Skip("there are 414,106: -everyorder")
			}
			runs := 0
			// path is the choice at each step, of how many. The next path has the last choice that can be another.
			var path, of []int
			for {
				at := 0
				synctest.Test(t, func(t *testing.T) {
					inOrder(t, s, func(options int) int {
						if at < len(path) && of[at] != options {
							// A select found two cases ready, and took the other one this time.
							path, of = path[:at], of[:at]
						}
						if at == len(path) {
							path, of = append(path, 0), append(of, options)
						}
						at++
						return path[at-1]
					})
				})
				runs++
				path, of = path[:at], of[:at]
				for len(path) > 0 && path[len(path)-1] == of[len(path)-1]-1 {
					path, of = path[:len(path)-1], of[:len(of)-1]
				}
				if len(path) == 0 {
					break
				}
				path[len(path)-1]++
			}
			t.Logf("%d orders", runs)
		})
	}
}
