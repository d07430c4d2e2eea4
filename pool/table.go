package pool

import "maps"

// A table is a map that gives memory back: Go's maps never shrink, and a burst of keys should leave no trace. The zero
// table is empty.
type table[K comparable, V any] struct {
	m    map[K]V
	peak int // the most elements since m was made
}

// shrinkFrom is the size below which shrinking gains nothing worth the copy.
const shrinkFrom = 1024

func (t *table[K, V]) set(k K, v V) {
	if t.m == nil {
		t.m = make(map[K]V)
	}
	t.m[k] = v
	t.peak = max(t.peak, len(t.m))
}

// delete takes k out. A table that is down to an eighth of its peak is copied into a smaller one, which costs each
// deletion a constant share.
func (t *table[K, V]) delete(k K) {
	delete(t.m, k)
	if t.peak >= shrinkFrom && len(t.m) <= t.peak/8 {
		small := make(map[K]V, len(t.m))
		maps.Copy(small, t.m)
		t.m, t.peak = small, len(small)
	}
}
