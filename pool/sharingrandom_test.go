package pool_test

import "math/rand/v2"

// randomSharing is nothing half of the time.
func randomSharing(r *rand.Rand) sharing {
	s := sharing{capacity: map[int]int{}, joint: map[string]bool{}}
	n := r.IntN(8)
	s.admits = n >= 4
	switch n {
	case 5:
		s.multiplexed = map[string]bool{"b": true}
	case 6:
		s.multiplexed = map[string]bool{"a": true, "b": true}
	case 7:
		s.multiplexed, s.oneShared = map[string]bool{"b": true}, true
	}
	return s
}

// share sets the pool to share as the model does.
func (d *duel) share() {
	m := d.model
	if m.admits {
		d.pool.Admit = func(c *conn, leases int) bool { return leases <= m.capacity[int(c.number)] }
	}
	if m.multiplexed != nil {
		d.pool.Shared = func(key string) bool { return m.multiplexed[key] }
	}
	d.pool.OneShared = m.oneShared
}

// kinds is of how many kinds of steps there are, of which the last are about sharing.
func (d *duel) kinds() int {
	switch m := d.model; {
	case m.multiplexed != nil:
		return 23
	case m.admits:
		return 22
	}
	return 20
}

// resize changes how many may lease a connection. The pool is told when there are more than before.
func (d *duel) resize(c modelConn, capacity int) {
	d.note("capacity of %d: %d", c.name, capacity)
	if d.model.resize(c, capacity) {
		d.pool.Wake(d.conns[c.name])
	}
}
