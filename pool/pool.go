package pool

import (
	"context"
	"io"
	"iter"
	"runtime"
	"sync"
	"time"
)

// A Conn is what a pool holds: something that can be compared and closed, such as a pointer to a connection. Close is
// called once, in a goroutine of the pool's that holds up nothing else, and may take its time.
type Conn interface {
	comparable
	io.Closer
}

// A Pool holds connections of type C by keys of type K, and lends them out as leases.
//
// The fields are set before first use and not changed afterwards: the first use takes a copy. Only Dial must be set;
// every use panics without it. A Pool is safe for concurrent use and must not be copied.
//
// A key must be one that a map finds again. Acquire and TryAcquire panic with NaN and, like every method that takes a key, with an
// interface that has something in it which cannot be compared.
//
// A Pool that is dropped without Close is collected, unless one of its callbacks refers to it, or a connection that is idle does (a
// weak.Pointer does not count). Its idle connections are closed then; its leases go on, and
// their connections are closed as they end. In a bubble of testing/synctest, where the collector may not touch
// anything, it is left as it is.
//
// Callbacks are called with no lock held, and may call the pool, except Close and Shutdown: these wait for the dial or
// the close that the callback may be part of. If a callback panics or calls runtime.Goexit, so does the method that called it, after it has
// done the rest: an Acquire or TryAcquire has no lease then, an Admit counts as false. Dial, OnOpen and callbacks that follow them run in a
// goroutine of the pool, where a panic ends the program.
type Pool[K comparable, C Conn] struct {
	// Dial opens a connection. It runs in a goroutine of its own. ctx has the values of the Acquire that asked, but not
	// its cancellation, since the connection can serve another Acquire. ctx ends after DialTimeout, with Close, when
	// the pool has no use for the connection any more, and when Dial has returned. Dial must return soon after ctx
	// has ended: until then it counts towards MaxConnsPerKey. It must return an error, or a connection that is neither C's zero value
	// nor one that the pool holds already, and that can be compared if C is an interface; anything else is an error to Acquire.
	Dial func(ctx context.Context, key K) (C, error)
	// OnOpen is called with each new connection after the pool has taken it and before anybody leases it: what is started
	// here, such as a watch, may call Retire at once. It is not called with a connection for which there is no use when it has been
	// dialed. Nil: nothing.
	OnOpen func(C)
	// Admit reports whether a connection that is leased may carry one more lease; leases counts that one, and those
	// that are being asked for at the same time. False makes the connection full until one of its leases ends or Wake
	// is called. An idle connection is lent without asking. If Shared is set, a connection whose key was not
	// multiplexed when it had been dialed has one lease at a time, and Admit is not asked about it. Admit is called by Acquire,
	// TryAcquire, Wake, at a lease's end or a dial's, perhaps about a connection that is being closed. The number of leases of a full
	// connection decides how many dials begin, see Shared: so one that admits none because it is of no use any more must be retired, by
	// Admit itself at the latest. Nil: each connection has one lease at a time.
	Admit func(conn C, leases int) bool
	// Shared reports whether the connections of a key are multiplexed: then no dial begins while a connection may admit one more lease, and
	// a dial serves many who wait. While there is no connection, one dial serves all of them. If there are connections and all are full, there
	// are as many dials in progress as are needed if the new connections admit as many leases as the old ones have, but no more than
	// MaxConnsPerKey allows. If none of these dials is younger than 250 ms, one more begins. The error of a dial goes to an equal
	// share of those who wait: to all if it is the only one. Shared is asked when an Acquire begins to wait and when a dial is done, and
	// its answer may change. Nil: every waiter has a dial of its own.
	Shared func(key K) bool
	// OneShared makes those who find the multiplexed connection of a key full wait for it instead of dialing another, unless it is
	// retired. It has no effect on keys that are not multiplexed.
	OneShared bool
	// SingleUse makes each connection serve one lease, that of the Acquire that dialed it: for connections that depend on the values of
	// their dial's context. If an Acquire gives up, its dial is cancelled; if a lease is released, its connection is closed. Admit and
	// Shared are not asked. False: a dial serves whoever has waited longest, and a connection serves one lease after the other.
	SingleUse bool
	// OnWait is called once for each Acquire that queues because of MaxConnsPerKey or OneShared: when it begins to queue, or when the
	// dial is done that it waited for with others. Nil: nothing.
	OnWait func(key K)
	// WaitTimeout bounds the wait of an Acquire that queues because of MaxConnsPerKey or OneShared, until
	// there is a connection or it may dial. When it passes, Acquire returns ErrWaitTimeout. 0 or negative: no bound.
	WaitTimeout time.Duration
	// OnClose is called once for each connection that the pool closes, just before it does, with the reason and the time
	// since its dial was done. It is called in whatever goroutine gives the connection up, and should not block. Nil: nothing.
	OnClose func(conn C, why Reason, age time.Duration)

	// MaxConnsPerKey bounds the connections of a key: dialing, leased and idle together. A connection that is given up does not count any
	// more, even while its Close is in progress; nor does a multiplexed one that is retired, even while it is still leased.
	// 0 or less: no bound.
	MaxConnsPerKey int
	// MaxIdle bounds the idle connections of all keys together: the least recently used one is closed. 0 or less: no
	// bound.
	MaxIdle int
	// MaxIdlePerKey bounds the idle connections of a key: the least recently used one is closed. It also bounds the dials that go on
	// although nobody waits for them. 0: no bound for idle connections, and 64 such dials. Negative: none of either.
	MaxIdlePerKey int
	// IdleTimeout is how long a connection stays idle before it is closed. 0 or less: for ever.
	IdleTimeout time.Duration
	// MaxLifetime is how old a connection may become. After that it is not lent any more, and closed when its leases have ended.
	// Each connection gets between 90 and 100 per cent of it, at random, so that many that were opened together do
	// not end together. 0 or less: no bound.
	MaxLifetime time.Duration
	// DialTimeout bounds a dial. 0: 30 s. Negative: no bound.
	DialTimeout time.Duration

	start   sync.Once
	core    *core[K, C]
	cleanup runtime.Cleanup // closes the core of a Pool that is dropped
}

// defaultDialTimeout is what net/http's default transport gives a dial: five SYNs are sent in it.
const defaultDialTimeout = 30 * time.Second

// running returns the core, which the first use makes.
func (p *Pool[K, C]) running() *core[K, C] {
	p.start.Do(p.run)
	if p.core == nil {
		panic("pool: Pool.Dial is nil")
	}
	return p.core
}

func (p *Pool[K, C]) run() {
	if p.Dial == nil {
		return
	}
	p.core = newCore(p)
	if !inBubble() {
		// In a goroutine, as cleanups must not block. All that still works keeps the core alive, not the Pool.
		p.cleanup = runtime.AddCleanup(p, func(c *core[K, C]) { go c.close() }, p.core)
	}
}

// Acquire leases a connection for key: the most recently used idle one; else one that admits a further lease; else
// whichever comes first, a connection that is released or a dial that is done. Those who wait are served in the order
// in which they came.
//
// When ctx ends first, the error is its cause, and nothing is lost: the dial goes on for the next Acquire, and a connection
// that came at the same moment is handed on. A ctx that has ended already gets nothing and dials nothing. A failed
// dial's error comes back as it is; a connection that was retired before its first lease is a *RetiredError; a wait
// that WaitTimeout ended is ErrWaitTimeout; after Close, and for those who wait when it is called, the error is ErrClosed.
func (p *Pool[K, C]) Acquire(ctx context.Context, key K) (Lease[K, C], error) {
	defer runtime.KeepAlive(p) // or the pool would close under those who wait
	c := p.running()
	mustCompare(key)
	return c.acquire(ctx, key)
}

// TryAcquire leases the connection that Acquire would lease without waiting, if there is one and nobody waits for it. It neither dials nor allocates. After
// Close there is nothing to lease.
func (p *Pool[K, C]) TryAcquire(key K) (Lease[K, C], bool) {
	c := p.running()
	mustCompare(key)
	return c.tryAcquire(key)
}

// mustCompare panics with a key that no map can hold, or find again: not under the lock, where a map would.
func mustCompare[K comparable](key K) {
	if same := key; same != key {
		panic("pool: the key is not equal to itself")
	}
}

// Retire ends the use of a connection, for good: it is not lent any more, and closed now if it is idle, else when its
// last lease ends. The first reason counts. A connection that the pool does not hold is left alone. It does not wait
// for the Close, and may be called from OnOpen on.
func (p *Pool[K, C]) Retire(conn C, why Reason) {
	if c := p.running(); canCompare(conn) {
		c.retire(conn, why)
	}
}

// Wake tells the pool that a full connection may have room again, so that Admit is asked anew. A connection that the
// pool does not hold, or that nobody leases, is left alone.
func (p *Pool[K, C]) Wake(conn C) {
	if c := p.running(); canCompare(conn) {
		c.wake(conn)
	}
}

// CloseIdle closes the connections that are idle now, cancels the dials that nobody waits for, and returns when the
// connections are closed. Leased ones are closed as they are released, until the next Acquire or TryAcquire of any key.
func (p *Pool[K, C]) CloseIdle() {
	p.running().closeAllIdle()
}

// CloseOldestIdle closes the n connections of all keys that have been idle longest, and returns when they are closed.
// It returns how many: less than n if there were not so many, 0 if n is negative.
func (p *Pool[K, C]) CloseOldestIdle(n int) int {
	return p.running().closeOldest(n)
}

// Close closes the idle connections, cancels the dials, and fails those who wait, now and later, with ErrClosed.
// Leases go on; their connections are closed as they end. It returns when no dial and no close is in progress any
// more. It may be called more than once and concurrently, and always returns nil.
func (p *Pool[K, C]) Close() error {
	return p.closed().await(context.Background(), withoutLeases)
}

// Shutdown is Close, but waits for the leases to end, too. When ctx ends first it returns its cause, and the rest
// goes on as after Close.
func (p *Pool[K, C]) Shutdown(ctx context.Context) error {
	return p.closed().await(ctx, withLeases)
}

// closed closes the core and returns it. The cleanup has nothing to do any more, and while it waits for the end of the Pool it keeps what Dial
// and the other functions refer to: if the Pool is among it, for ever.
func (p *Pool[K, C]) closed() *core[K, C] {
	c := p.running()
	c.close()
	p.cleanup.Stop()
	return c
}

// Stats returns a snapshot. The time that it takes grows with the number of keys.
func (p *Pool[K, C]) Stats() Stats[K] {
	return p.running().stats()
}

// Total returns the gauges of all keys together, as Stats does, in constant time.
func (p *Pool[K, C]) Total() Gauges {
	return p.running().total()
}

// Gauges returns the gauges of one key, in constant time.
func (p *Pool[K, C]) Gauges(key K) Gauges {
	return p.running().gauges(key)
}

// All iterates over the connections of all keys that are idle or leased, in no order. It looks at a hundred at a time, and holds up
// nobody for longer. So each is described as it was at some moment of the iteration, and one that is opened or closed meanwhile may be
// missing. The loop's body may call the pool.
func (p *Pool[K, C]) All() iter.Seq2[K, Info[C]] {
	return p.running().all
}

// Conns returns the connections of a key that are idle or leased now, those longest in their state first.
func (p *Pool[K, C]) Conns(key K) []Info[C] {
	return p.running().list(key)
}
