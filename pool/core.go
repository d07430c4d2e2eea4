package pool

import (
	"context"
	"sync"
	"time"
)

// A core is what works behind a Pool. Leases, timers and goroutines refer to the core and never to the Pool, so that a
// Pool that its users dropped is unreachable.
type core[K comparable, C Conn] struct {
	cfg   config[K, C]
	start time.Time

	// mu is held for moments, and never while anything is called that belongs to somebody else: what is to be done
	// is collected in a todo under the lock and done after it. It guards the fields below and those of entries, groups,
	// waiters and dials.
	mu        sync.Mutex
	groups    table[K, *group[K, C]]
	conns     index[K, C]                     // all but those that are gone
	idle      list[entry[K, C], inCore[K, C]] // of all groups, the least recently used first
	lifetimes lifetimes[K, C]
	numbers   uint64 // leases numbered so far

	closed    bool
	closeIdle bool          // CloseIdle was called, and no Acquire since
	working   int           // goroutines of dials and closes
	changed   chan struct{} // closed and forgotten when something ends that Close or Shutdown waits for; nil: nobody waits
	timer     *time.Timer   // for expiry; nil until it is needed
	timed     *timed[K, C]  // what the timer's function refers to
	armed     time.Duration // what the timer is set for; never: it is not set

	leased, leases, dialing, waiting int
	counts                           Counters
}

type inCore[K comparable, C Conn] struct{}

func (inCore[K, C]) node(e *entry[K, C]) *node[entry[K, C]] { return &e.all }

// A config is the settings of a Pool.
type config[K comparable, C Conn] struct {
	dial        func(context.Context, K) (C, error)
	onOpen      func(C)
	admit       func(C, int) bool
	shared      func(K) bool
	onWait      func(K)
	onClose     func(C, Reason, time.Duration)
	oneShared   bool
	singleUse   bool
	maxPerKey   int
	maxIdle     int
	maxIdleKey  int
	idleTimeout time.Duration
	maxLifetime time.Duration
	dialTimeout time.Duration
	waitTimeout time.Duration
}

func newCore[K comparable, C Conn](p *Pool[K, C]) *core[K, C] {
	c := &core[K, C]{
		cfg: config[K, C]{
			dial: p.Dial, onOpen: p.OnOpen, admit: p.Admit, shared: p.Shared, onWait: p.OnWait, onClose: p.OnClose,
			oneShared: p.OneShared, singleUse: p.SingleUse, maxPerKey: p.MaxConnsPerKey, maxIdle: p.MaxIdle, maxIdleKey: p.MaxIdlePerKey,
			idleTimeout: p.IdleTimeout, maxLifetime: p.MaxLifetime, dialTimeout: p.DialTimeout, waitTimeout: p.WaitTimeout,
		},
		start:  time.Now(),
		armed:  never,
		counts: Counters{Closes: map[Reason]int64{}},
	}
	if c.cfg.singleUse {
		c.cfg.admit, c.cfg.shared, c.cfg.maxIdleKey = nil, nil, -1
	}
	if c.cfg.dialTimeout == 0 {
		c.cfg.dialTimeout = defaultDialTimeout
	}
	return c
}

// now reads the monotonic clock, as the time since the pool's first use.
func (c *core[K, C]) now() time.Duration { return time.Since(c.start) }

// A todo is what was decided under the lock and is done after it. The zero todo is nothing.
type todo[K comparable, C Conn] struct {
	closes []victim[C]
	dials  []*dial[K, C]
	stops  []context.CancelFunc
	fails  []failure[K, C]
	asks   []*group[K, C] // to admitWaiters

	closing *sync.WaitGroup // for the closes; nil: nobody waits for them
}

// A victim is a connection to close.
type victim[C Conn] struct {
	conn C
	why  Reason
	age  time.Duration
}

// A failure is the error of a waiter that has left the queue for it.
type failure[K comparable, C Conn] struct {
	waiter *waiter[K, C]
	err    error
}

func (t *todo[K, C]) tellFailures() {
	for _, f := range t.fails {
		f.waiter.result <- result[K, C]{err: f.err}
	}
}

// do does what was decided, also where a callback unwinds its goroutine. It waits for callbacks, but neither for dials nor for closes.
func (c *core[K, C]) do(t *todo[K, C]) {
	if len(t.fails) > 0 {
		defer t.tellFailures() // once the connection, if there was one, is announced
	}
	if len(t.asks) > 0 {
		defer c.askAll(t.asks)
	}
	for _, stop := range t.stops {
		stop()
	}
	for _, d := range t.dials {
		go c.run(d)
	}
	if len(t.closes) > 0 {
		c.closeAll(t.closes, t.closing)
	}
}

func (c *core[K, C]) askAll(groups []*group[K, C]) {
	each(len(groups), func(i int) { c.admitWaiters(groups[i]) })
}

func (c *core[K, C]) closeAll(closes []victim[C], closing *sync.WaitGroup) {
	each(len(closes), func(i int) {
		v := closes[i]
		defer func() {
			if closing != nil {
				closing.Go(func() { c.closeConn(v.conn) })
			} else {
				go c.closeConn(v.conn)
			}
		}()
		c.announce(v)
	})
}

// each calls f with 0 to n-1. Where a call unwinds its goroutine, with a panic or runtime.Goexit, that goes on after the last one.
func each(n int, f func(i int)) {
	i := 0
	defer func() {
		if i < n {
			next := i + 1
			each(n-next, func(i int) { f(next + i) })
		}
	}()
	for ; i < n; i++ {
		f(i)
	}
}

// announce tells of a close before it begins.
func (c *core[K, C]) announce(v victim[C]) {
	if c.cfg.onClose != nil {
		c.cfg.onClose(v.conn, v.why, v.age)
	}
}

// closeConn closes one connection, which may take its time. It is a goroutine of its own, or part of one.
func (c *core[K, C]) closeConn(conn C) {
	defer c.workDone()
	_ = conn.Close()
}

// workDone notes the end of a goroutine.
func (c *core[K, C]) workDone() {
	c.mu.Lock()
	c.working--
	c.changedLocked()
	c.mu.Unlock()
}
