package pool

import "time"

// An entry is a connection of the pool.
//
//	state    entered by                     left by
//	opening  a finished dial                OnOpen has returned: idle, leased or closed
//	idle     the end of a lease, a dial     acquire: leased; expiry, eviction, retire, close: closed
//	leased   acquire, or given to a waiter  Release: idle or leased by a waiter; Discard, a retired one's end: closed; Hijack: gone
//	closed   (it is no longer in core.conns)
//
// All fields but the first paragraph's are guarded by core.mu.
type entry[K comparable, C Conn] struct {
	conn    C
	key     K
	opened  time.Time
	expires time.Time // by MaxLifetime; zero: never

	state   state
	since   time.Time // when the state was entered
	lease   uint64    // the number of the current or last lease
	retired Reason    // not "": to be closed when its lease ends
	used    bool      // was leased before

	// While idle: neighbours in the list of all idle ones and in the group's, from the least to the most recently used.
	all, group links[K, C]
}

type state uint8

const (
	opening state = iota
	idle
	leased
	closed
)

type links[K comparable, C Conn] struct{ prev, next *entry[K, C] }

// A list is a doubly linked list through the entries themselves: joining and leaving cost no memory.
type list[K comparable, C Conn] struct {
	oldest, newest *entry[K, C]
	n              int
	links          func(*entry[K, C]) *links[K, C]
}

// push adds e as the newest.
func (l *list[K, C]) push(e *entry[K, C]) {
	*l.links(e) = links[K, C]{prev: l.newest}
	if l.newest != nil {
		l.links(l.newest).next = e
	} else {
		l.oldest = e
	}
	l.newest = e
	l.n++
}

// remove takes e out, which is in it.
func (l *list[K, C]) remove(e *entry[K, C]) {
	at := l.links(e)
	if at.prev != nil {
		l.links(at.prev).next = at.next
	} else {
		l.oldest = at.next
	}
	if at.next != nil {
		l.links(at.next).prev = at.prev
	} else {
		l.newest = at.prev
	}
	*at = links[K, C]{}
	l.n--
}

func inAll[K comparable, C Conn](e *entry[K, C]) *links[K, C]   { return &e.all }
func inGroup[K comparable, C Conn](e *entry[K, C]) *links[K, C] { return &e.group }
