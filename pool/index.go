package pool

import "hash/maphash"

// An index finds the entry of a connection. It is a hash table of pointers: a map, which would keep each connection a second time, takes
// three times the memory. It shrinks as it empties. The zero index is empty.
type index[K comparable, C Conn] struct {
	seed  maphash.Seed
	slots []*entry[K, C] // a power of two of them; an entry is in the first that was free from its hash on, and stays there
	n     int            // entries
	used  int            // slots that are not nil
	left  entry[K, C]    // in the place of those that were removed, so that what comes after them is found; it is never idle nor leased
}

// find returns the entry of a connection, nil if there is none.
func (x *index[K, C]) find(conn C) *entry[K, C] {
	if x.n == 0 {
		return nil
	}
	return x.slots[x.place(conn)]
}

// place returns the slot of a connection, or the nil one that ends the search for it.
func (x *index[K, C]) place(conn C) int {
	last := len(x.slots) - 1
	i := x.hash(conn) & last
	for e := x.slots[i]; e != nil && (e == &x.left || e.conn != conn); e = x.slots[i] {
		i = (i + 1) & last
	}
	return i
}

func (x *index[K, C]) hash(conn C) int { return int(maphash.Comparable(x.seed, conn)) }

// add adds an entry whose connection is not in the index.
func (x *index[K, C]) add(e *entry[K, C]) {
	if x.used+1 > len(x.slots)/4*3 {
		x.rebuild(x.n + 1)
	}
	last := len(x.slots) - 1
	i := x.hash(e.conn) & last
	for x.slots[i] != nil && x.slots[i] != &x.left {
		i = (i + 1) & last
	}
	if x.slots[i] == nil {
		x.used++
	}
	x.slots[i] = e
	x.n++
}

// remove takes out an entry that is in the index. Where nothing comes after it nobody is found by way of its slot, nor of those removed
// just before it: these are free again, and so the slots hardly ever have to be made anew while the number of entries stays the same.
func (x *index[K, C]) remove(e *entry[K, C]) {
	i, last := x.place(e.conn), len(x.slots)-1
	x.slots[i] = &x.left
	if x.slots[(i+1)&last] == nil {
		for ; x.slots[i] == &x.left; i = (i - 1) & last {
			x.slots[i] = nil
			x.used--
		}
	}
	x.n--
	if x.n == 0 || len(x.slots) >= shrinkFrom && x.n <= len(x.slots)/8 {
		x.rebuild(x.n)
	}
}

// rebuild makes slots for n entries and as many again. The old ones stay as they are, for who goes through them.
func (x *index[K, C]) rebuild(n int) {
	old := x.slots
	x.slots, x.used = nil, x.n
	if n == 0 {
		return
	}
	size := 8
	for size < 2*n {
		size *= 2
	}
	x.seed, x.slots = maphash.MakeSeed(), make([]*entry[K, C], size)
	for _, e := range old {
		if e != nil && e != &x.left {
			x.slots[x.place(e.conn)] = e
		}
	}
}
