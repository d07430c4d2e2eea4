package pool

// A list is doubly linked through its elements, so that joining, leaving and looking cost no memory. It keeps the order in
// which they joined. An element may be in several lists at a time, each through a node of its own, which L finds. The zero
// list is empty.
type list[T any, L linked[T]] struct {
	first, last *T
	n           int
}

// A node is an element's place in a list.
type node[T any] struct{ prev, next *T }

// A linked finds the node of an element.
type linked[T any] interface{ node(*T) *node[T] }

// push makes e, which is not in the list, the last.
func (l *list[T, L]) push(e *T) {
	var at L
	at.node(e).prev = l.last
	if l.last != nil {
		at.node(l.last).next = e
	} else {
		l.first = e
	}
	l.last = e
	l.n++
}

// remove takes e, which is in the list, out.
func (l *list[T, L]) remove(e *T) {
	var at L
	n := at.node(e)
	if n.prev != nil {
		at.node(n.prev).next = n.next
	} else {
		l.first = n.next
	}
	if n.next != nil {
		at.node(n.next).prev = n.prev
	} else {
		l.last = n.prev
	}
	*n = node[T]{}
	l.n--
}
