package pool

// A list is doubly linked through nodes that lie in its elements, so that joining, leaving and looking cost no memory.
// It keeps the order in which they joined. The zero list is empty.
type list[T any] struct {
	first, last *node[T]
	n           int
}

// A node is an element's place in one list at a time. The zero node is in none.
type node[T any] struct {
	prev, next *node[T]
	in         *list[T]
	of         *T
}

// push makes of, whose node n is, the last.
func (l *list[T]) push(n *node[T], of *T) {
	*n = node[T]{prev: l.last, in: l, of: of}
	if l.last != nil {
		l.last.next = n
	} else {
		l.first = n
	}
	l.last = n
	l.n++
}

// remove takes n out if it is in l.
func (l *list[T]) remove(n *node[T]) {
	if n.in != l {
		return
	}
	if n.prev != nil {
		n.prev.next = n.next
	} else {
		l.first = n.next
	}
	if n.next != nil {
		n.next.prev = n.prev
	} else {
		l.last = n.prev
	}
	*n = node[T]{}
	l.n--
}

// oldest returns the element that joined first, nil if there is none.
func (l *list[T]) oldest() *T { return l.first.element() }

// newest returns the element that joined last, nil if there is none.
func (l *list[T]) newest() *T { return l.last.element() }

func (n *node[T]) element() *T {
	if n == nil {
		return nil
	}
	return n.of
}
