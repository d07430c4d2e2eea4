package transport

import (
	"container/list"
	"maps"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/watertight-go/watertight/pool"
)

// maxClosedAccounts is how many origins without a connection are remembered, those that had one last.
const maxClosedAccounts = 100

// A ledger counts what happened, by route and in all. A connection is in it from the end of its dial until the pool, or an upgrade's
// end, says why it is closed: at any moment those opened less those closed are those that are open. The zero value is ready.
type ledger struct {
	core   *core // for the connections of its accounts; set before the first
	reuses atomic.Int64

	mu       sync.Mutex // guards the fields below, and the tallies of accounts
	total    tally
	ages     ages // of the connections closed
	accounts map[route]*account
	most     int       // accounts since the map was made: it does not shrink by itself
	past     list.List // the closed accounts, the oldest first
}

// change changes what is counted of a route, and of all.
func (l *ledger) change(r route, by func(*tally)) *account {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.accounts[r]
	if a == nil {
		a = &account{core: l.core, route: r, name: r.origin()}
		if l.accounts == nil {
			l.accounts = map[route]*account{}
		}
		l.accounts[r] = a
		l.most = max(l.most, len(l.accounts))
	}
	by(&a.tally)
	by(&l.total)
	l.placeLocked(a)
	return a
}

// changeOf is change where the account is known. It may have been forgotten.
func (l *ledger) changeOf(a *account, by func(*tally)) { l.change(a.route, by) }

// placeLocked sees to it that an account is among the closed ones if it is closed, as the newest, and that there are not too many.
func (l *ledger) placeLocked(a *account) {
	switch {
	case !a.isClosed() && a.place != nil:
		l.past.Remove(a.place)
		a.place = nil
	case !a.isClosed():
	case a.place != nil:
		l.past.MoveToBack(a.place)
	default:
		a.place = l.past.PushBack(a)
	}
	if l.past.Len() > maxClosedAccounts {
		gone := l.past.Remove(l.past.Front()).(*account)
		gone.place = nil
		delete(l.accounts, gone.route)
		if l.most > 16*maxClosedAccounts && len(l.accounts) < l.most/8 {
			l.accounts = maps.Clone(l.accounts)
			l.most = len(l.accounts)
		}
	}
}

// began notes that a connection carries a request, its first or another.
func (l *ledger) began(a *account, reused bool) {
	if reused {
		l.reused(a)
	} else {
		l.changeOf(a, func(t *tally) { t.fresh++ })
	}
}

// reused notes that a connection which was idle carries a request.
func (l *ledger) reused(a *account) {
	l.reuses.Add(1)
	a.reuses.Add(1)
}

// opened notes a connection that was dialed.
func (l *ledger) opened(r route) *account {
	return l.change(r, func(t *tally) { t.open++; t.dials++ })
}

// closed notes a connection that is about to be closed, so old.
func (l *ledger) closed(a *account, why pool.Reason, peerFirst bool, age time.Duration) {
	l.changeOf(a, func(t *tally) {
		t.open--
		t.closes.add(why, 1)
		if peerFirst {
			t.peerFirst++
		} else {
			t.weFirst++
		}
		if t == &l.total { // once
			l.ages.add(age)
		}
	})
}

// dialing notes the begin of a dial, while demand requests to its route run or wait at once.
func (l *ledger) dialing(r route, demand int) {
	l.change(r, func(t *tally) { t.dialing++; t.peak = max(t.peak, int64(demand)) })
}

// dialed notes the end of a dial. A connection that it opened is in the ledger already.
func (l *ledger) dialed(r route, failed bool) {
	l.change(r, func(t *tally) {
		t.dialing--
		if failed {
			t.dialErrors++
		}
	})
}

// leaked notes a leak.
func (l *ledger) leaked(a *account, cause LeakCause) {
	l.changeOf(a, func(t *tally) { t.leaks.add(cause, 1) })
}

// An entry is what a snapshot takes of an account.
type entry struct {
	account        *account // for what does not change; nil: the sum of all
	reuses, bodies int64
	tally
}

// atOnce is how many accounts are looked at while the lock is held: for a few microseconds.
const atOnce = 32

// sum returns what is counted of all together, and how many accounts there are.
func (l *ledger) sum() (sum entry, old ages, accounts int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return entry{reuses: l.reuses.Load(), tally: l.total.asTold()}, l.ages, len(l.accounts)
}

// each goes through what there is of each account: no more than atOnce of them are of one moment. An entry is good until the next.
func (l *ledger) each(yield func(*entry) bool) {
	l.mu.Lock()
	batch := make([]entry, min(len(l.accounts), atOnce))
	n := 0
	told := func() bool {
		for i := range n {
			if !yield(&batch[i]) {
				return false
			}
		}
		n = 0
		return true
	}
	for _, a := range l.accounts {
		batch[n] = entry{account: a, reuses: a.reuses.Load(), bodies: a.bodies.Load(), tally: a.tally.asTold()}
		if n++; n == len(batch) {
			l.mu.Unlock()
			if !told() {
				return
			}
			runtime.Gosched()
			l.mu.Lock()
		}
	}
	l.mu.Unlock()
	told()
}
