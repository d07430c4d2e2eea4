package leaktest

import (
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/watertight-go/watertight/internal/leakhook"
)

// An exchange is a request that has no response yet, or whose response's body is not finished. It never refers to the
// handle of the body: the collector must go on telling the Transport's guard what was dropped.
type exchange struct {
	record *record
	number uint64 // within the process
	method string
	url    url.URL // a copy: the caller may change its own
	began  time.Time
	stack  []uintptr
	start  frame // the go statement of the goroutine, where the stack begins beneath the program: go client.Get(url)

	holder  atomic.Uint64 // the goroutine that made the request, or read last
	reads   atomic.Int64
	reading atomic.Int64 // Reads and Writes in progress
	got     atomic.Int64 // bytes

	// record.mu guards the fields below.
	req  *http.Request // while there is no response; then nil
	body leakhook.Body
	size int64 // of the body; -1 if that is not known
}

// answered is called with what RoundTrip is about to return. A response without a body, by its method, status or length, leaves
// nothing to close.
func (x *exchange) answered(resp *http.Response, behind leakhook.Body) {
	if resp == nil || resp.Body == nil || resp.Body == http.NoBody || bodiless(x.method, resp.StatusCode) {
		x.record.finish(x)
		return
	}
	size := resp.ContentLength
	upgraded := resp.StatusCode == http.StatusSwitchingProtocols || x.method == http.MethodConnect && resp.StatusCode/100 == 2
	if upgraded {
		size = -1 // what follows is another protocol's
	}
	if size == 0 && resp.ProtoMajor == 2 {
		x.record.finish(x) // a stream of HTTP/2 may end a little later
		return
	}
	x.record.mu.Lock()
	x.req, x.body, x.size = nil, behind, size
	x.record.mu.Unlock()
	resp.Body = handle(x, resp.Body, upgraded)
}

// bodiless reports whether a response has no body whatever its fields say (RFC 9110 sections 6.4.1 and 9.3.2).
func bodiless(method string, status int) bool {
	return method == http.MethodHead || status == http.StatusNoContent || status == http.StatusNotModified
}

// answer returns what is known of the response: waiting is true while there is none.
func (x *exchange) answer() (body leakhook.Body, size int64, waiting bool) {
	x.record.mu.Lock()
	defer x.record.mu.Unlock()
	return x.body, x.size, x.req != nil
}

// stampEvery is how many Reads there are between two looks at who reads: a look costs a microsecond.
const stampEvery = 64

// enter and leave note a Read or a Write.
func (x *exchange) enter() {
	x.reading.Add(1)
	if n := x.reads.Add(1); n <= stampEvery || n%stampEvery == 0 {
		x.holder.Store(goroutine())
	}
}

func (x *exchange) leave() { x.reading.Add(-1) }

// end takes back what the exchange holds, as its caller should have.
func (x *exchange) end() {
	x.record.mu.Lock()
	req, body := x.req, x.body
	x.record.mu.Unlock()
	switch {
	case req != nil:
		x.record.subject.Cancel(req)
	case body.Close != nil:
		body.Close()
	}
}
