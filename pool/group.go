package pool

import "context"

// A group is what the pool holds of one key. It exists while there is anything in it: a key used once leaves no trace. All fields are
// guarded by core.mu.
type group[K comparable, C Conn] struct {
	key     K
	idle    list[K, C]
	open    int // connections opening, idle or leased
	dials   []*dial[K, C]
	waiters []*waiter[K, C] // the oldest first
}

// A dial is one call of Dial. Whom it serves is decided when it is done.
type dial[K comparable, C Conn] struct {
	group     *group[K, C]
	ctx       context.Context
	cancel    context.CancelFunc
	asker     *waiter[K, C] // who gets its error
	cancelled bool          // nobody wants it; guarded by core.mu
}

// A waiter is an Acquire in progress. It gets one result, unless it leaves before.
type waiter[K comparable, C Conn] struct {
	ctx    context.Context
	result chan result[K, C] // capacity 1
	gone   bool              // got its result or left; guarded by core.mu
}

type result[K comparable, C Conn] struct {
	lease Lease[K, C]
	err   error
}

// empty reports whether the group may be forgotten.
func (g *group[K, C]) empty() bool { return g.open == 0 && len(g.dials) == 0 && len(g.waiters) == 0 }

// wanted returns how many dials are in progress for somebody, that is not cancelled.
func (g *group[K, C]) wanted() int {
	n := 0
	for _, d := range g.dials {
		if !d.cancelled {
			n++
		}
	}
	return n
}

// pop takes the oldest waiter out, nil if there is none.
func (g *group[K, C]) pop() *waiter[K, C] {
	if len(g.waiters) == 0 {
		return nil
	}
	w := g.waiters[0]
	g.drop(w)
	return w
}

// drop takes a waiter out.
func (g *group[K, C]) drop(w *waiter[K, C]) {
	w.gone = true
	g.waiters = remove(g.waiters, w)
}

// remove takes one element out of a slice, in order, and leaves no stale pointer behind.
func remove[T comparable](s []T, v T) []T {
	for i, x := range s {
		if x == v {
			copy(s[i:], s[i+1:])
			var none T
			s[len(s)-1] = none
			return s[:len(s)-1]
		}
	}
	return s
}
