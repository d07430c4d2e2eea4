package pool

// A group is what the pool has of one key. It exists while there is anything in it. core.mu guards its fields.
//
// Waiters stand in the order in which they came. Those who wait for a dial stand before those who do not: a dial
// whose owner leaves passes to the first who has none. So the numbers alone tell whether one more dial is wanted, and
// undialed who its owner is.
type group[K comparable, C Conn] struct {
	core   *core[K, C]
	key    K
	shared bool // what Shared said last: of connections to come

	open    int // entries
	idle    list[entry[K, C], inGroup[K, C]]
	sharing list[entry[K, C], inGroup[K, C]] // leased ones that may admit one more; empty without Admit
	busy    list[entry[K, C], inGroup[K, C]] // the other leased ones
	leases  int
	several int // connections that are multiplexed, and not retired
	carried int // leases of these
	leaving int // leased ones that are multiplexed, and retired
	asking  int // those in admitWaiters whom Admit has yet to answer
	trying  int // the others whom it has yet to answer

	waiters  list[waiter[K, C], inQueue[K, C]]
	undialed *waiter[K, C] // the first that has no dial; nil: all have one
	untold   int           // of those without a dial, those for whom OnWait was not called

	dialing   int           // dials in progress until OnOpen has returned, cancelled ones too
	cancelled int           // of these, the cancelled
	abandoned []*dial[K, C] // of these, those that nobody waits for and that go on
	adopted   int           // of these, those that somebody waits for who did not begin them
}

type inGroup[K comparable, C Conn] struct{}

func (inGroup[K, C]) node(e *entry[K, C]) *node[entry[K, C]] { return &e.mine }

// leased returns how many of the connections are leased.
func (g *group[K, C]) leased() int { return g.sharing.n + g.busy.n }

// groupLocked returns the group of a key, new if need be.
func (c *core[K, C]) groupLocked(key K) *group[K, C] {
	g := c.groups.m[key]
	if g == nil {
		g = &group[K, C]{core: c, key: key}
		c.groups.set(key, g)
	}
	return g
}

// forgetLocked drops a group that has nothing in it.
func (c *core[K, C]) forgetLocked(g *group[K, C]) {
	if g.open == 0 && g.dialing == 0 && g.waiters.n == 0 && c.groups.m[g.key] == g {
		c.groups.delete(g.key)
	}
}

// fullLocked reports whether MaxConnsPerKey or OneShared allows no further dial.
func (c *core[K, C]) fullLocked(g *group[K, C]) bool {
	if c.cfg.oneShared && g.shared && g.several > 0 {
		return true
	}
	limit := c.cfg.maxPerKey
	return limit > 0 && g.idle.n+g.leased()-g.leaving+g.dialing >= limit
}

// provideLocked sees to it that the waiters have something to wait for: a connection that may admit one more is
// asked, an abandoned dial is adopted, a new one started as far as the limit allows. It is called whenever one of
// these may have become possible.
func (c *core[K, C]) provideLocked(g *group[K, C], t *todo[K, C]) {
	if g.waiters.n == 0 {
		return
	}
	if g.sharing.n > 0 {
		t.asks = append(t.asks, g)
	}
	if g.isAdmitting() {
		return // admitWaiters comes back here when none admits any more
	}
	c.dialLocked(g, t)
	c.dialAnewLocked(g, t)
}

// isAdmitting reports whether somebody is in admitWaiters, so that it is not known yet who needs a dial. Where Shared does not say
// that a connection will do for many, dials begin meanwhile.
func (g *group[K, C]) isAdmitting() bool { return g.shared && (g.sharing.n > 0 || g.asking > 0) }

// dialLocked sees to it that those who have no dial get one, as far as may be.
func (c *core[K, C]) dialLocked(g *group[K, C], t *todo[K, C]) {
	for g.undialed != nil {
		full := c.fullLocked(g)
		switch d := c.adoptableLocked(g, full); {
		case g.shared && g.awaited() >= g.needed() && (full || c.mayRelyLocked(g)):
			return
		case d != nil:
			c.adoptLocked(g, d)
		case full:
			return
		default:
			w := g.undialed
			c.assignLocked(g, c.startLocked(g, w, t), w)
		}
	}
}

// mayRelyLocked reports whether those who have no dial may rely on those of others, where dials are shared: one of these is young, and gets a
// timer for the moment in which it is not any more. It may lead nowhere, and the others with it; one more at a time finds out.
func (c *core[K, C]) mayRelyLocked(g *group[K, C]) (young bool) {
	now := c.now()
	for w := g.waiters.first; w != g.undialed; w = w.place.next {
		if now-w.dial.began < reliedOnFor {
			c.timeLocked(w.dial)
			young = true
		}
	}
	return young
}

// awaited returns how many dials in progress somebody waits for.
func (g *group[K, C]) awaited() int { return g.dialing - g.cancelled - len(g.abandoned) }

// needed returns how many dials those who wait need where connections are multiplexed. The ones that there are tell, as they are full, how
// many leases one admits; who is being told so counts as one of these. Where there is none nobody knows, and one dial is to find out: also
// whether the peer is there at all.
func (g *group[K, C]) needed() int {
	if g.carried == 0 {
		return 1
	}
	return ratio(g.waiters.n*g.several, g.carried+g.trying)
}

// ratio returns n/d, rounded up.
func ratio(n, d int) int { return (n + d - 1) / d }

// gauges returns the group's present.
func (g *group[K, C]) gauges() Gauges {
	return Gauges{
		Open: g.idle.n + g.leased(), Idle: g.idle.n, Leased: g.leased(), Leases: g.leases,
		Dialing: g.dialing, Waiting: g.waiters.n,
	}
}
