package leaktest

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// Grace is how long a check waits for what is still at work: a body that another goroutine may be reading, a request in flight,
// and after Close the last of the sockets and goroutines. The wait ends as soon as they have; where no other goroutine of the program's is
// left that a body may have been given to, nothing is waited for. 0 or negative: not at all. It must not be changed while tests run: set it
// in TestMain.
var Grace = time.Second

// Whether a look at a Transport comes from outside of the bubble that it was used in: nothing but what was noted may be touched
// from there.
const (
	withinBubble  = false
	outsideBubble = true
)

// A deadline ends the looks at what is still at work.
type deadline struct {
	at    time.Time
	pause time.Duration
}

// The first looks are close together: most of what is at work ends within a millisecond.
const (
	firstPause = 100 * time.Microsecond
	lastPause  = 10 * time.Millisecond
)

// takingBack bounds how long what is unfinished may take to be taken back, and Transports to be closed: which is at once unless a
// connection's Close hangs.
func takingBack() *deadline { return &deadline{at: time.Now().Add(max(Grace, time.Second))} }

func graceFromNow() *deadline { return &deadline{time.Now().Add(Grace), firstPause} }

// again waits a moment, and reports whether there is time for another look.
func (d *deadline) again() bool {
	left := time.Until(d.at)
	if left <= 0 {
		return false
	}
	time.Sleep(min(d.pause, left))
	d.pause = min(2*d.pause, lastPause)
	return true
}

// awaitFinish returns the exchanges that are not finished, once none of them can be expected to finish or the time is over,
// and what is to be said of each.
func (r *record) awaitFinish(d *deadline, outside bool) (left []*exchange, findings []finding) {
	for {
		var atWork bool
		left, findings, atWork = r.unfinishedNow(outside)
		if !atWork || outside || !d.again() {
			return left, findings
		}
	}
}

// unfinishedNow returns the exchanges that are not finished, what is to be said of each, and whether any of them may be finished
// yet: by who had it last, or by any goroutine of the program's, which may have been given the body.
//
// The goroutines are looked at between two looks at the exchanges. One that had ended by then finishes nothing any more; what
// it finished at its end the second look shows, and an exchange that came into other hands meanwhile is at work.
func (r *record) unfinishedNow(outside bool) (left []*exchange, findings []finding, atWork bool) {
	holders := map[*exchange]uint64{}
	for _, x := range r.list() {
		holders[x] = x.holder.Load()
	}
	if len(holders) == 0 {
		return nil, nil, false
	}
	alive, readers := aliveExceptMe()
	for _, x := range r.list() {
		if holder, ok := holders[x]; ok {
			k := x.kind(alive[holder] || holder != x.holder.Load())
			atWork = atWork || k != leaked || readers
			left = append(left, x)
			findings = append(findings, x.found(k, outside))
		}
	}
	return left, findings, atWork
}

// kind tells whether somebody may still finish an exchange; held is true if the goroutine that had it last still runs.
func (x *exchange) kind(held bool) kind {
	_, _, waiting := x.answer()
	switch {
	case waiting:
		return inFlight
	case held, x.reading.Load() > 0:
		return open
	}
	return leaked
}

// aliveExceptMe returns the goroutines of the process but the one that asks, which reads nothing meanwhile; and whether one of them may
// have been given a body.
func aliveExceptMe() (alive map[uint64]bool, readers bool) {
	me := goroutine()
	alive = map[uint64]bool{}
	for _, g := range everyGoroutine() {
		if g.number == me {
			continue
		}
		alive[g.number] = true
		readers = readers || g.mayRead()
	}
	return alive, readers
}

// isElsewhere reports whether the Transport was used in a bubble that the caller is outside of.
func (r *record) isElsewhere() bool { return r.subject.Bubble && !r.subject.InBubble() }

// look returns what is unfinished, and where the Transport was closed what is left of it.
func (r *record) look() (*report, []*exchange) {
	d := graceFromNow()
	if r.isElsewhere() {
		left, findings := r.awaitFinish(d, outsideBubble)
		return &report{findings: findings}, left
	}
	left, findings := r.awaitFinish(d, withinBubble)
	seen := &report{findings: findings}
	if len(left) == 0 && r.isClosed() {
		addLeftovers(map[*record]bool{r: true}, seen, d)
	}
	return seen, left
}

// conclude is the last look at Transports. What is unfinished is taken back and they are closed, so that nothing of theirs
// disturbs who comes after; then nothing may be left of them.
func conclude(all ...*record) *report {
	seen, d := &report{}, graceFromNow()
	concluded, ended := map[*record]bool{}, map[*record]bool{}
	for _, r := range all {
		concluded[r] = true
		if r.isElsewhere() { // where the bubble's end has ended all
			_, findings := r.awaitFinish(d, outsideBubble)
			seen.findings = append(seen.findings, findings...)
			continue
		}
		left, findings := r.awaitFinish(d, withinBubble)
		seen.findings = append(seen.findings, findings...)
		takingBack().within(func() {
			for _, x := range left {
				x.end()
			}
		})
		for _, x := range left {
			r.finish(x)
		}
		if canEnd(left) {
			ended[r] = true
		}
	}
	takingBack().within(func() {
		var closing sync.WaitGroup // at once: one whose Close hangs takes no time from the others
		for _, r := range all {
			if !r.isElsewhere() {
				closing.Go(func() { r.subject.Close() }) // the goroutine is the check's, not the Transport's
			}
		}
		closing.Wait()
	})
	addLeftovers(ended, seen, graceFromNow())
	records.forget(concluded)
	records.blame(seen.goroutines)
	return seen
}

// within does what closes connections, and waits for that no longer than until the deadline: a connection's Close may hang.
func (d *deadline) within(closing func()) {
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		closing()
	}()
	timer := time.NewTimer(max(time.Until(d.at), 0))
	defer timer.Stop()
	select {
	case <-closed:
	case <-timer.C:
	}
}

// canEnd reports whether all that the exchanges held could be taken back.
func canEnd(left []*exchange) bool {
	return !slices.ContainsFunc(left, func(x *exchange) bool {
		body, _, waiting := x.answer()
		return !waiting && !body.Arrived && body.Close == nil
	})
}

// addLeftovers adds the sockets and goroutines that remain of closed Transports. What a later look does not find again was
// ending, or somebody else's for a moment.
func addLeftovers(some map[*record]bool, to *report, d *deadline) {
	left := leftovers(some)
	for !left.empty() && d.again() {
		now := leftovers(some)
		left.sockets = now.sockets
		maps.DeleteFunc(left.goroutines, func(number uint64, _ frame) bool {
			_, still := now.goroutines[number]
			return !still
		})
	}
	to.add(left)
}

// leftovers returns what there is now. A bubble sees to its goroutines itself.
func leftovers(some map[*record]bool) *report {
	left := &report{}
	bubble := false
	states := openSockets()
	for r := range some {
		bubble = bubble || r.subject.Bubble
		left.sockets = append(left.sockets, r.openSockets(states)...)
	}
	slices.Sort(left.sockets)
	if !bubble && len(some) > 0 {
		left.goroutines = goroutinesOf(some)
	}
	return left
}

// openSockets returns the Transport's sockets that the kernel knows to be open, and where there are no such sockets, how many
// connections it has by its own count. States are the process's, by inode.
func (r *record) openSockets(states map[uint64]string) (left []string) {
	r.mu.Lock()
	for inode, ends := range r.sockets {
		if state, open := states[inode]; open {
			left = append(left, ends+" "+state)
		}
	}
	r.mu.Unlock()
	if busy := r.subject.Busy(); len(left) == 0 && busy > 0 {
		left = append(left, fmt.Sprintf("by the Transport's own count: %d", busy))
	}
	return left
}
