package pool

import (
	"math/rand/v2"
	"time"
)

// A lifetimes is a heap of the connections that end by MaxLifetime, the first to end on top. A connection joins it
// when it is opened and leaves it when it is gone, so that leasing costs nothing.
type lifetimes[K comparable, C Conn] []*entry[K, C]

// drawExpiry returns when a connection opened now is to end: between 90 and 100 per cent of MaxLifetime from now.
func (c *core[K, C]) drawExpiry(now time.Duration) time.Duration {
	d := c.cfg.maxLifetime
	if d <= 0 {
		return never
	}
	return now + d - rand.N(d/10+1)
}

// push adds e, which ends some time.
func (h *lifetimes[K, C]) push(e *entry[K, C]) {
	*h = append(*h, e)
	e.rank = len(*h) - 1
	h.up(e.rank)
}

// remove takes e out if it is in.
func (h *lifetimes[K, C]) remove(e *entry[K, C]) {
	i, last := e.rank, len(*h)-1
	if i < 0 {
		return
	}
	h.swap(i, last)
	(*h)[last] = nil
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
		if h[parent].expires <= h[i].expires {
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
			if h[child].expires < h[first].expires {
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
	h[i].rank, h[j].rank = i, j
}
