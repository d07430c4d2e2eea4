package pool

import (
	"context"
	"io"
	"runtime"
	"sync"
	"time"
)

// A Conn is what a pool holds: something that can be compared and closed, such as a pointer to a connection. Close is called once, in
// a goroutine of its own.
type Conn interface {
	comparable
	io.Closer
}

// A Pool holds connections of type C by keys of type K, and lends them out as leases.
//
// The fields are set before first use and not changed afterwards: the first use takes a copy. Only Dial must be set. A
// Pool is safe for concurrent use and must not be copied. One that is dropped without Close is collected, and its idle connections are
// closed; its leases go on, and their connections are closed as they end.
//
// All callbacks are called with no lock held, and may call the pool.
type Pool[K comparable, C Conn] struct {
	// Dial opens a connection. It runs in a goroutine of its own. ctx has the values of the Acquire that asked, but not
	// its cancellation: what was dialed in vain serves the next one. It ends after DialTimeout and with Close.
	Dial func(ctx context.Context, key K) (C, error)
	// OnOpen is called with each new connection once the pool knows it and before anybody leases it: what is started
	// here may call Retire at once. Nil: nothing.
	OnOpen func(C)
	// OnWait is called when an Acquire begins to queue because MaxConnsPerKey is reached. Nil: nothing.
	OnWait func(K)
	// OnClose is called once for each connection that the pool closes, just before it does, with the reason. Nil: nothing.
	OnClose func(C, Reason)

	// MaxConnsPerKey bounds the connections of a key: dialing, leased and idle together. One that is given up counts no
	// more, even while its Close takes its time. 0 or less: no bound.
	MaxConnsPerKey int
	// MaxIdle bounds the idle connections of all keys together; the least recently used one makes room. 0 or less: no bound.
	MaxIdle int
	// MaxIdlePerKey bounds the idle connections of a key. 0: no bound. Negative: a released connection is closed.
	MaxIdlePerKey int
	// IdleTimeout is how long a connection stays idle before it is closed. 0 or less: for ever.
	IdleTimeout time.Duration
	// MaxLifetime is how old a connection may become: older ones are not lent again, and closed when they are not leased. Each gets
	// between 90 and 100 per cent of it, at random, so that many opened together do not end together. 0 or less: no bound.
	MaxLifetime time.Duration
	// DialTimeout bounds a dial. 0: 30 s. Negative: no bound.
	DialTimeout time.Duration

	start sync.Once
	core  *core[K, C]
}

// defaultDialTimeout is long enough for three lost SYNs.
const defaultDialTimeout = 30 * time.Second

// running returns the core, which the first use makes.
func (p *Pool[K, C]) running() *core[K, C] {
	p.start.Do(func() {
		if p.Dial == nil {
			panic("pool: Dial is nil")
		}
		p.core = newCore(p)
		// Leases, timers and dials refer to the core, never to the Pool, so this runs once nobody can acquire any more.
		runtime.AddCleanup(p, func(c *core[K, C]) { go c.close() }, p.core)
	})
	return p.core
}

// Acquire leases a connection for key: the most recently used idle one, or else whichever comes first of a released
// one and a finished dial. Waiters are served in the order in which they came. When ctx ends first, the error is its cause; then nothing is
// lost, and the dial goes on for the next one. A failed dial's error comes back as it is. After Close the error is ErrClosed.
func (p *Pool[K, C]) Acquire(ctx context.Context, key K) (Lease[K, C], error) {
	defer runtime.KeepAlive(p)
	return p.running().acquire(ctx, key)
}

// TryAcquire leases an idle connection if there is one and nobody waits for it. It never dials, waits or allocates.
func (p *Pool[K, C]) TryAcquire(key K) (Lease[K, C], bool) {
	defer runtime.KeepAlive(p)
	return p.running().tryAcquire(key)
}

// Retire ends the use of a connection, for good: it is closed now if it is idle, else when its lease ends. A connection that the pool does
// not hold, or retired before, is left alone. It does not wait for the Close.
func (p *Pool[K, C]) Retire(conn C, why Reason) { p.running().retire(conn, why) }

// CloseIdle closes the connections that are idle now, cancels the dials that nobody waits for, and waits until they are
// closed. Leased ones are closed as they are released, until the next Acquire.
func (p *Pool[K, C]) CloseIdle() { p.running().closeIdleNow() }

// CloseOldestIdle closes the n connections that have been idle longest and waits until they are closed. It returns how
// many it closed: less than n if there were not so many.
func (p *Pool[K, C]) CloseOldestIdle(n int) int { return p.running().closeOldest(n) }

// Close closes the idle connections, cancels the dials, and fails those who wait, now and later, with ErrClosed. Leases
// go on; their connections are closed as they end. It returns when the connections that it closed are closed and no
// dial is left. It may be called more than once and concurrently, and always returns nil.
func (p *Pool[K, C]) Close() error {
	c := p.running()
	c.close()
	return c.await(context.Background(), c.settledLocked)
}

// Shutdown is Close, and waits for the leases to end as well, or for ctx, whose cause it returns then.
func (p *Pool[K, C]) Shutdown(ctx context.Context) error {
	c := p.running()
	c.close()
	return c.await(ctx, func() bool { return c.settledLocked() && len(c.conns) == 0 })
}

// Stats returns a snapshot: the figures were true together.
func (p *Pool[K, C]) Stats() Stats[K] { return p.running().stats() }

// Conns returns the connections of a key that the pool holds now, those longest in their state first.
func (p *Pool[K, C]) Conns(key K) []Info[C] { return p.running().list(key) }
