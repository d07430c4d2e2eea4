package leaktest

import (
	"cmp"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"weak"

	"github.com/watertight-go/watertight/internal/leakhook"
	"github.com/watertight-go/watertight/transport"
)

// init has every Transport that the process makes recorded from its first use on. It runs before all but the inits of other packages,
// which no call of ours could promise: a Transport is often made by the code under test.
func init() {
	attach := records.attach
	leakhook.Attach.Store(&attach)
}

// records are those of the process.
var records table

// A table finds the record of a Transport. It does not keep the Transport.
type table struct {
	mu     sync.Mutex // guards the fields below
	of     map[weak.Pointer[transport.Transport]]*record
	tidyAt int                 // the size of of at which records with nothing left to tell are taken out
	blamed map[uint64]struct{} // goroutines that a test was told of: the next one is not to blame for them

	made, begun atomic.Uint64 // records and exchanges
}

// attach makes the record of a Transport, at its first use.
func (t *table) attach(owner any, s leakhook.Subject) *leakhook.Recorder {
	r := &record{subject: s, number: t.made.Add(1), unfinished: map[*exchange]struct{}{}, sockets: map[uint64]string{}, dialers: map[uint64]struct{}{}}
	t.tidy()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.of == nil {
		t.of = map[weak.Pointer[transport.Transport]]*record{}
	}
	t.of[weak.Make(owner.(*transport.Transport))] = r
	return &leakhook.Recorder{Began: r.began, Dialed: r.dialed, Closed: r.close}
}

// find returns the record of a Transport; nil before its first use.
func (t *table) find(tr *transport.Transport) *record {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.of[weak.Make(tr)]
}

// list returns all records, in the order in which they were made.
func (t *table) list() []*record {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.SortedFunc(maps.Values(t.of), func(a, b *record) int { return cmp.Compare(a.number, b.number) })
}

// forget takes out the records of Transports that were concluded.
func (t *table) forget(concluded map[*record]bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	maps.DeleteFunc(t.of, func(_ weak.Pointer[transport.Transport], r *record) bool { return concluded[r] })
}

// blame notes the goroutines that a test is told of.
func (t *table) blame(goroutines map[uint64]frame) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.blamed == nil {
		t.blamed = map[uint64]struct{}{}
	}
	for number := range goroutines {
		t.blamed[number] = struct{}{}
	}
}

func (t *table) told(goroutine uint64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, ok := t.blamed[goroutine]
	return ok
}

// tidy forgets the records of Transports that are no more, whenever their number has doubled.
func (t *table) tidy() {
	gone := map[weak.Pointer[transport.Transport]]*record{}
	t.mu.Lock()
	if len(t.of) >= max(t.tidyAt, 64) {
		maps.Copy(gone, t.of)
		t.tidyAt = 2 * len(t.of)
	}
	t.mu.Unlock()
	maps.DeleteFunc(gone, func(p weak.Pointer[transport.Transport], r *record) bool { return p.Value() != nil || r.hasSomething() })
	if len(gone) == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	maps.DeleteFunc(t.of, func(p weak.Pointer[transport.Transport], _ *record) bool { return gone[p] != nil })
	t.tidyAt = 2 * len(t.of)
}

// A record is what is known of one Transport. It outlives the Transport while it has something to tell.
type record struct {
	subject leakhook.Subject
	number  uint64

	mu         sync.Mutex // guards the fields below
	unfinished map[*exchange]struct{}
	sockets    map[uint64]string   // "local -> remote" by inode, of every connection that has one
	dialers    map[uint64]struct{} // goroutines that dialed
	closed     bool
}

// began notes a request; what it returns notes its end.
func (r *record) began(req *http.Request) func(*http.Response, leakhook.Body) {
	x := &exchange{
		record: r, number: records.begun.Add(1), req: req,
		method: req.Method, url: *req.URL, began: time.Now(), stack: callers(),
	}
	if x.method == "" {
		x.method = http.MethodGet
	}
	if !beginsInProgram(x.stack) {
		x.start = started()
	}
	x.holder.Store(goroutine())
	r.mu.Lock()
	r.unfinished[x] = struct{}{}
	r.mu.Unlock()
	return x.answered
}

func (r *record) dialed(nc net.Conn) {
	inode, id := inodeOf(nc), goroutine()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dialers[id] = struct{}{}
	if inode != 0 {
		r.sockets[inode] = fmt.Sprintf("%v -> %v", nc.LocalAddr(), nc.RemoteAddr())
	}
}

func (r *record) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
}

func (r *record) isClosed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.closed
}

// hasDialed reports whether a goroutine was that of a dial.
func (r *record) hasDialed(number uint64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, ok := r.dialers[number]
	return ok
}

// hasSomething reports whether there is something to tell, or to come.
func (r *record) hasSomething() bool {
	return len(r.list()) > 0 || !r.subject.Bubble && r.subject.Busy() > 0
}

// finish notes the end of an exchange, body and all.
func (r *record) finish(x *exchange) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.unfinished, x)
}

// list returns the exchanges that are not finished, in the order in which they began.
func (r *record) list() []*exchange {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.SortedFunc(maps.Keys(r.unfinished), func(a, b *exchange) int { return cmp.Compare(a.number, b.number) })
}
