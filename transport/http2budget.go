package transport

// A server that takes only so many requests on a connection, as nginx does with keepalive_requests, says so with a GOAWAY when it has them.
// What was sent meanwhile is refused, and lost where its body cannot be had again. So it is learned how many there were, and the
// connections that follow are replaced when they have carried as many. A server that is about to restart says GOAWAY at any number: what
// two connections in a row come to is a rule.

// leastBudget is the smallest number that is believed: smaller ones agree by chance.
const leastBudget = 8

// A requestBudget is what is known of how many requests a server takes on a connection.
type requestBudget struct {
	requests int64
	agreed   bool // by two connections
}

// overdrawn counts a request on the connection, and reports whether it is one too many. The last lets it carry no more.
func (hc *http2Conn) overdrawn() bool {
	if hc.budget == 0 {
		return false
	}
	begun := hc.begun.Add(1)
	if begun == hc.budget {
		hc.retire(ReasonNoKeepAlive)
	}
	return begun > hc.budget
}

// exhausted notes how many streams the server took, if it took no others that there are.
func (hc *http2Conn) exhausted(last, newest uint32) {
	if taken := (int64(last) + 1) / 2; newest > last && taken >= leastBudget {
		hc.core.spoken.budget(hc.account.route, taken)
	}
}

// forgetBudget forgets what was learned if the server would have taken more: it said nothing until the last was answered. Of those that
// begun counts some may not have been written.
func (hc *http2Conn) forgetBudget() {
	if hc.budget > 0 && hc.served(false) >= hc.budget && !hc.wire.isLeaving() {
		hc.core.spoken.budget(hc.account.route, 0)
	}
}

// budget notes how many requests a server took on a connection; 0: more than was believed.
func (l *spokenLog) budget(r route, requests int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if requests == 0 {
		delete(l.budgets, r)
	} else {
		l.budgets = learned(l.budgets, r, requestBudget{requests, l.budgets[r].requests == requests})
	}
}

// budgeted returns how many requests a new connection may carry; 0: as many as there are.
func (l *spokenLog) budgeted(r route) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if b := l.budgets[r]; b.agreed {
		return b.requests
	}
	return 0
}
