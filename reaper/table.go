package reaper

// A table finds each watch by an id that is never used again, unlike descriptors. The zero table is empty.
//
// An id is a place in a slice and a serial number, as a map would need more memory than all else that is kept of one.
type table struct {
	list   []*Watch // nil where a place is free
	free   []uint32 // the places that are
	n      int      // watches
	serial uint64
}

// placeBits is how many bits of an id are the place: there are no more descriptors than that in one process.
const placeBits = 24

// add gives w its id.
func (t *table) add(w *Watch) {
	place := len(t.list)
	if last := len(t.free) - 1; last >= 0 {
		place = int(t.free[last])
		t.free = t.free[:last]
		t.list[place] = w
	} else {
		t.list = append(t.list, w)
	}
	t.serial++
	t.n++
	w.id = t.serial<<placeBits | uint64(place)
}

// take takes a watch out, and returns nil if it is out already.
func (t *table) take(id uint64) *Watch {
	place := id & (1<<placeBits - 1)
	if place >= uint64(len(t.list)) || t.list[place] == nil || t.list[place].id != id {
		return nil
	}
	w := t.list[place]
	t.list[place] = nil
	t.free = append(t.free, uint32(place))
	if t.n--; t.n == 0 {
		*t = table{serial: t.serial}
	}
	return w
}
