package pool

import "time"

// A Lease is the right to use a connection until it is ended by Release, Discard or Hijack, whichever comes first;
// the others do nothing then, also on copies, also much later: a lease that has ended cannot end the
// next holder's. It may be ended from any goroutine. The zero Lease has ended.
type Lease[K comparable, C Conn] struct {
	core   *core[K, C]
	entry  *entry[K, C]
	number uint64
	reused bool
	idle   time.Duration
}

// Conn returns the connection. It is not to be used after the lease's end.
func (l Lease[K, C]) Conn() C {
	if l.entry == nil {
		var none C
		return none
	}
	return l.entry.conn
}

// Key returns the key under which the connection was acquired.
func (l Lease[K, C]) Key() K {
	if l.entry == nil {
		var none K
		return none
	}
	return l.entry.key
}

// Reused reports whether the connection was leased before.
func (l Lease[K, C]) Reused() bool { return l.reused }

// IdleTime returns how long the connection was idle before this lease; 0 for one that was just dialed or handed over by its last holder.
func (l Lease[K, C]) IdleTime() time.Duration { return l.idle }

// Release ends the lease and gives the connection to the oldest waiter, or keeps it idle. It reports whether the
// connection was kept: false if it was closed instead, or the lease had ended before.
func (l Lease[K, C]) Release() bool {
	if l.core == nil {
		return false
	}
	return l.core.release(l)
}

// Discard ends the lease and closes the connection, without waiting for that. It reports whether this call ended the lease.
func (l Lease[K, C]) Discard(why Reason) bool {
	if l.core == nil {
		return false
	}
	return l.core.discard(l, why)
}

// Hijack ends the lease and the pool's hold on the connection: it is the caller's now. It reports whether this call ended the lease.
func (l Lease[K, C]) Hijack() bool {
	if l.core == nil {
		return false
	}
	return l.core.hijack(l)
}
