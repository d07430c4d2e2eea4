package transport

import (
	"container/list"
	"sync/atomic"

	"github.com/watertight-go/watertight/pool"
)

// An account is what the ledger keeps of a route. Connections refer to theirs, which is also how they know their route: so a
// connection costs no more for it.
type account struct {
	route route
	name  string // of the origin

	// On the way of each request.
	reuses atomic.Int64
	bodies atomic.Int64 // open bodies that hold a connection

	// ledger.mu guards the fields below.
	tally
	place *list.Element // among the closed ones; nil: it is not one
}

// isClosed reports whether there is nothing of the route now. A body that is counted still, as its end is about to be noted, makes no
// difference: nothing would come back to the account after that.
func (a *account) isClosed() bool { return a.open+a.dialing == 0 }

// A tally is what is counted of a route, or of all together.
type tally struct {
	open, upgraded, dialing  int64 // now
	dials, dialErrors, fresh int64
	retries                  int64
	waits, waitTimeouts      int64
	peak                     int64
	peerFirst, weFirst       int64
	closes                   countList[pool.Reason]
	leaks                    countList[LeakCause]
	drained, salvaged        int64
	absorbed, exceeded       int64
}

// A countList counts few kinds of things. It is smaller than a map, as there may be many origins.
type countList[K comparable] []struct {
	what K
	n    int64
}

func (l *countList[K]) add(what K, n int64) {
	for i := range *l {
		if (*l)[i].what == what {
			(*l)[i].n += n
			return
		}
	}
	*l = append(*l, struct {
		what K
		n    int64
	}{what, n})
}

func (l countList[K]) clone() countList[K] { return append(countList[K](nil), l...) }

// byKind returns the list as a map, nil if it is empty.
func (l countList[K]) byKind() map[K]int64 {
	if len(l) == 0 {
		return nil
	}
	m := make(map[K]int64, len(l))
	for _, c := range l {
		m[c.what] = c.n
	}
	return m
}
