package leaktest

import (
	"net/http"
	"testing"

	"github.com/watertight-go/watertight/transport"
)

// NewTransport returns a [transport.New] for one test. When tb and its subtests end, each response body that was handed out and
// is not finished fails tb, and is taken back. Then the Transport is closed, and no socket and no goroutine of it may be left.
// Fields may be set before the first request. A Clone of it is a Transport of its own: this check does not see it, [VerifyTestMain] does. It works in
// parallel tests and in bubbles of testing/synctest.
//
// Servers that the Transport talks to should end after it: call tb.Cleanup(server.Close) before NewTransport, since cleanups run in
// reverse order. A deferred Close of an httptest.Server would run first. It waits for its handlers, and so for ever for one that
// writes to a leaked body.
//
// A deferred goleak.VerifyNone runs before that check, and sees the one goroutine that watches idle connections, unless their server has
// ended. Called in a tb.Cleanup before NewTransport, it runs after the check, and sees none.
func NewTransport(tb testing.TB) *transport.Transport {
	tb.Helper()
	tr := transport.New()
	tb.Cleanup(func() {
		tb.Helper()
		end(tb, tr)
	})
	return tr
}

// NewClient returns a client with a [NewTransport] of its own: see there for how to close the server that it talks to.
func NewClient(tb testing.TB) *http.Client {
	tb.Helper()
	return &http.Client{Transport: NewTransport(tb)}
}

// VerifyNone fails tb if [Find] finds something now, and forgets what it found: later checks do not report it again. It is
// for a Transport that the test did not get from NewTransport:
//
//	defer leaktest.VerifyNone(t, tr)
//
// Called after tr.Close, it looks at sockets and goroutines as well. It neither closes tr nor takes anything back.
func VerifyNone(tb testing.TB, tr *transport.Transport) {
	tb.Helper()
	r := recordOf(tr)
	if r == nil {
		return
	}
	seen, left := r.look()
	for _, x := range left {
		r.finish(x)
	}
	if len(seen.sockets)+len(seen.goroutines) > 0 { // then it was closed, and nothing more is to come
		records.forget(map[*record]bool{r: true})
		records.blame(seen.goroutines)
	}
	if err := seen.err(); err != nil {
		tb.Error(err)
	}
}

// Find returns an error that names each response body of tr that was handed out and is not finished, the most recent last:
// one that was neither closed, nor read to its end, nor to another error. It waits up to [Grace] for bodies that are still being read, and
// for requests in flight; those that are not finished then are named as open or in flight. If tr was closed and no body is left, it names
// sockets and goroutines of tr that are left. It returns nil if there is nothing to name.
//
// Find may be called at any time, in any goroutine, and more than once: it returns the same again. It assumes that the goroutine that calls it
// reads nothing meanwhile; a body that another goroutine used last, and may go on reading, counts as open. If tr is nil, Find panics, and so
// does VerifyNone.
func Find(tr *transport.Transport) error {
	r := recordOf(tr)
	if r == nil {
		return nil
	}
	seen, _ := r.look()
	return seen.err()
}

// recordOf returns the record of a Transport, nil if it did nothing yet.
func recordOf(tr *transport.Transport) *record {
	if tr == nil {
		panic("leaktest: nil *transport.Transport")
	}
	return records.find(tr)
}

// end checks and closes a Transport at the end of its test.
func end(tb testing.TB, tr *transport.Transport) {
	tb.Helper()
	if r := recordOf(tr); r != nil {
		if err := conclude(r).err(); err != nil {
			tb.Error(err)
		}
	}
}
