package transport

import (
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// An OpenBody describes a response body that holds a connection.
type OpenBody struct {
	Method    string        // of the request
	URL       string        // of the request, redacted
	Age       time.Duration // since the response's head arrived
	BytesRead int64         // by the caller, after decompression
	Stack     string        // where the request was made, a frame per line as "function file:line"; "" if not recorded
}

// OpenBodies returns the response bodies that hold a connection now, the oldest first.
func (t *Transport) OpenBodies() []OpenBody {
	c := t.core.Load()
	if c == nil {
		return nil
	}
	return c.bodies.list()
}

// An openBody is what is kept of a request for reports on its body. It is part of what the body's handle refers to, and
// never refers to the handle.
type openBody struct {
	method   string
	url      url.URL // a copy: the caller may change its own
	at       time.Time
	stack    []uintptr
	received atomic.Int64
	apart    atomic.Bool // its stream of HTTP/2 has ended: it holds no connection
	account  *account    // of its route, nil in a Guard
	counted  atomic.Bool // in the account
	owner    bodyOwner   // nil for the body of an upgrade, and in a Guard

	// register.mu guards the fields below.
	prev, next *openBody
	open       bool
}

// setApart notes that the body holds no connection any more.
func (b *openBody) setApart() {
	b.apart.Store(true)
	b.uncount()
}

// uncount takes the body out of its account, once.
func (b *openBody) uncount() {
	if b.counted.Load() && b.counted.Swap(false) {
		b.account.bodies.Add(-1)
	}
}

// onRoute returns the route of the connection that a Transport's body came on.
func (b *openBody) onRoute() route { return b.account.route }

// A bodyOwner is a body that a Transport can take back, of whatever protocol.
type bodyOwner interface {
	// unread tells for how long nobody has been reading.
	unread() (time.Duration, readState)
	// lastReadAt is when the last Read ended, by the core's clock.
	lastReadAt() int64
	// reclaim takes the connection, or the stream, back from a body that leaked, and reports it, except while it is being read. It
	// tells whether it did.
	reclaim(cause LeakCause) bool
	// reportOnce reports a leak, in a goroutine of its own.
	reportOnce(cause LeakCause)
	// isReported tells whether that was done.
	isReported() bool
	// onRoute returns the route of the connection.
	onRoute() route
}

// An origin is the scheme and host of a URL.
type origin struct{ scheme, host string }

func (b *openBody) origin() origin { return origin{b.url.Scheme, b.url.Host} }

// A register knows the open bodies of a Transport or a Guard, and what leaked. Its settings are fixed before its first
// use.
type register struct {
	onLeak       func(Leak)
	redactURL    func(*url.URL) string
	recordStacks bool
	logger       *slog.Logger
	bubble       bool    // first used in a bubble of testing/synctest, which cleanups must leave alone
	ledger       *ledger // of the accounts of its bodies; nil in a Guard

	leaks atomic.Bool // some origin leaked

	mu          sync.Mutex // guards the fields below
	first, last *openBody  // those that are open, in the order in which they came
	open        int
	origins     map[origin]*leakLog // that leaked
}

// add notes the body of a response to req, with the stack if somebody asked for it or a body of the same origin leaked
// before: it costs more than the rest of the guard.
func (r *register) add(b *openBody, req *http.Request, a *account) {
	if b.account = a; a != nil {
		b.counted.Store(true)
		a.bodies.Add(1)
	}
	b.method, b.url, b.at = req.Method, *req.URL, time.Now()
	if b.method == "" {
		b.method = http.MethodGet
	}
	if r.recordStacks || r.leaks.Load() && r.leaked(b.origin()) {
		b.stack = callers()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if b.open, b.prev = true, r.last; b.prev == nil {
		r.first = b
	} else {
		b.prev.next = b
	}
	r.last = b
	r.open++
}

// remove notes that a body holds its connection no more. Only the first call does anything.
func (r *register) remove(b *openBody) {
	b.uncount()
	r.mu.Lock()
	defer r.mu.Unlock()
	if !b.open {
		return
	}
	if b.prev == nil {
		r.first = b.next
	} else {
		b.prev.next = b.next
	}
	if b.next == nil {
		r.last = b.prev
	} else {
		b.next.prev = b.prev
	}
	b.prev, b.next, b.open = nil, nil, false
	r.open--
}

func (r *register) leaked(o origin) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, ok := r.origins[o]
	return ok
}

// owners returns the open bodies that a Transport can take back.
func (r *register) owners() []bodyOwner {
	r.mu.Lock()
	defer r.mu.Unlock()
	owners := make([]bodyOwner, 0, r.open)
	for b := r.first; b != nil; b = b.next {
		if b.owner != nil {
			owners = append(owners, b.owner)
		}
	}
	return owners
}

func (r *register) list() []OpenBody {
	open := r.snapshot()
	list := make([]OpenBody, len(open))
	for i, b := range open {
		list[i] = r.describe(b)
	}
	return list
}

// snapshot returns the open bodies that hold a connection, the oldest first.
func (r *register) snapshot() []*openBody {
	r.mu.Lock()
	open := make([]*openBody, 0, r.open)
	for b := r.first; b != nil; b = b.next {
		open = append(open, b)
	}
	r.mu.Unlock()
	open = slices.DeleteFunc(open, func(b *openBody) bool { return b.apart.Load() })
	slices.SortStableFunc(open, func(x, y *openBody) int { return x.at.Compare(y.at) })
	return open
}

func (r *register) describe(b *openBody) OpenBody {
	return OpenBody{
		Method:    b.method,
		URL:       r.redact(&b.url),
		Age:       time.Since(b.at),
		BytesRead: b.received.Load(),
		Stack:     formatStack(b.stack),
	}
}

// redact returns a URL as it may appear in logs. RedactURL has a goroutine of its own: a panic in it, or runtime.Goexit, is no reason to end
// a process that only leaked a body, or a sweep.
func (r *register) redact(u *url.URL) string {
	if r.redactURL == nil {
		return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
	}
	own := *u // which it may change
	shown := u.Scheme + "://" + u.Host
	apart(func() {
		defer func() { _ = recover() }()
		shown = r.redactURL(&own)
	})
	return shown
}
