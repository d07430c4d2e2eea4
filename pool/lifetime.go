package pool

import (
	"math/rand/v2"
	"time"
)

// A lifetimes is a heap of the connections that end by MaxLifetime, the first to end on top. A connection joins it
// when it is opened and leaves it when it is gone, so that leasing costs nothing.
type lifetimes[K comparable, C Conn] []lifetime[K, C]

// A lifetime is when a connection ends.
type lifetime[K comparable, C Conn] struct {
	ends  time.Duration
	entry *entry[K, C]
}

// drawExpiry returns when a connection opened now is to end: between 90 and 100 per cent of MaxLifetime from now.
func (c *core[K, C]) drawExpiry(now time.Duration) time.Duration {
	d := c.cfg.maxLifetime
	return now + min(d-rand.N(d/10+1), never-now)
}

// of returns when e ends, never if it is not in the heap.
func (h lifetimes[K, C]) of(e *entry[K, C]) time.Duration {
	if e.rank < 0 {
		return never
	}
	return h[e.rank].ends
}

// next returns when the first ends, never if there is none.
func (h lifetimes[K, C]) next() time.Duration {
	if len(h) == 0 {
		return never
	}
	return h[0].ends
}

// push adds e.
func (h *lifetimes[K, C]) push(e *entry[K, C], ends time.Duration) {
	*h = append(*h, lifetime[K, C]{ends, e})
	last := len(*h) - 1
	e.rank = int32(last)
	h.up(last)
}

// remove takes e out if it is in.
func (h *lifetimes[K, C]) remove(e *entry[K, C]) {
	i, last := int(e.rank), len(*h)-1
	if i < 0 {
		return
	}
	h.swap(i, last)
	(*h)[last] = lifetime[K, C]{}
	*h = (*h)[:last]
	e.rank = -1
	if i < last {
		h.up(i)
		h.down(i)
	}
}

func (h lifetimes[K, C]) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if h[parent].ends <= h[i].ends {
			return
		}
		h.swap(i, parent)
		i = parent
	}
}

func (h lifetimes[K, C]) down(i int) {
	for {
		first := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(h); child++ {
			if h[child].ends < h[first].ends {
				first = child
			}
		}
		if first == i {
			return
		}
		h.swap(i, first)
		i = first
	}
}

func (h lifetimes[K, C]) swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].entry.rank, h[j].entry.rank = int32(i), int32(j)
}
