package transport

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/watertight-go/watertight/pool"
)

func routeTo(i int) route { return route{scheme: "http", host: fmt.Sprintf("host%d.example", i)} }

// Origins without a connection are forgotten, those that had one longest ago first; one with a connection or a dial never is, and a body that
// ends after its connection keeps none. The sum keeps what was forgotten.
func TestLedgerForgets(t *testing.T) {
	var l ledger
	open := l.opened(routeTo(0))
	l.dialing(routeTo(1), 1)
	late := l.opened(routeTo(2))
	late.bodies.Add(1)
	l.closed(late, pool.Evicted, false, 0)
	late.bodies.Add(-1)
	const first, n = 3, 3 * maxClosedAccounts
	for i := first; i < first+n; i++ {
		a := l.opened(routeTo(i))
		l.closed(a, pool.Evicted, i%3 == 0, 0)
		if i >= first+maxClosedAccounts/2 { // over and over again the newest
			l.change(routeTo(first), func(*tally) {})
		}
	}
	has := func(i int) bool { return l.accounts[routeTo(i)] != nil }
	assert.Len(t, l.accounts, 2+maxClosedAccounts)
	assert.True(t, has(0) && has(1), "there is something of them")
	assert.False(t, has(2))
	assert.True(t, has(first))
	assert.False(t, has(first+1))
	assert.False(t, has(first+n-maxClosedAccounts))
	assert.True(t, has(first+n-maxClosedAccounts+1))

	total, _, accounts := l.sum()
	assert.Equal(t, 2+maxClosedAccounts, accounts)
	told := map[string]int64{}
	for e := range l.each {
		told[e.account.name] += e.dials
		if assert.True(t, l.mu.TryLock(), "whoever looks holds up nobody") {
			l.mu.Unlock()
		}
	}
	assert.Len(t, told, accounts, "each account once")
	assert.EqualValues(t, 1, told[routeTo(0).origin()])
	assert.EqualValues(t, 2+n, total.dials)
	assert.EqualValues(t, 1, total.open)
	assert.Equal(t, map[pool.Reason]int64{pool.Evicted: 1 + n}, total.closes.byKind())
	assert.EqualValues(t, n/3, total.peerFirst)

	l.closed(open, pool.Evicted, false, 0)
	l.dialed(routeTo(1), true)
	assert.Len(t, l.accounts, maxClosedAccounts)
	l.leaked(&account{route: routeTo(first + 1)}, Dropped) // forgotten by then
	assert.True(t, has(first+1))
	total, _, _ = l.sum()
	assert.Equal(t, map[LeakCause]int64{Dropped: 1}, total.leaks.byKind())
}

// A burst of origins leaves no large map behind.
func TestLedgerShrinks(t *testing.T) {
	var l ledger
	var accounts []*account
	for i := range 100 * maxClosedAccounts {
		accounts = append(accounts, l.opened(routeTo(i)))
	}
	assert.Equal(t, len(accounts), l.most)
	for _, a := range accounts {
		l.closed(a, pool.Closed, false, 0)
	}
	assert.Less(t, l.most, 17*maxClosedAccounts)
	assert.Len(t, l.accounts, maxClosedAccounts)
}
