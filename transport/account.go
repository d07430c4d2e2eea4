package transport

import (
	"container/list"
	"sync/atomic"

	"github.com/watertight-go/watertight/pool"
)

// An account is what the ledger keeps of a route. Connections refer to theirs, which is also how they know their route: so a
// connection costs no more for it.
type account struct {
	core  *core // whose ledger it is in
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
	open, upgraded, dialing  int32 // now
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

// asTold returns a copy for a snapshot, which has its counts as maps and does not look at the lists, as these change.
func (t *tally) asTold() tally {
	t.closes.byKind()
	t.leaks.byKind()
	return *t
}

// A countList counts few kinds of things. It is smaller than a map, as there may be many origins.
type countList[K comparable] struct {
	kinds []countOf[K]
	told  map[K]int64 // the same for snapshots, which do not change it; nil: not made since the last change
}

type countOf[K comparable] struct {
	what K
	n    int64
}

func (l *countList[K]) add(what K, n int64) {
	l.told = nil
	for i := range l.kinds {
		if l.kinds[i].what == what {
			l.kinds[i].n += n
			return
		}
	}
	l.kinds = append(l.kinds, countOf[K]{what, n})
}

// byKind returns the counts as a map that nobody is to change, nil if there are none.
func (l *countList[K]) byKind() map[K]int64 {
	if l.told == nil && len(l.kinds) > 0 {
		l.told = make(map[K]int64, len(l.kinds))
		for _, c := range l.kinds {
			l.told[c.what] = c.n
		}
	}
	return l.told
}
