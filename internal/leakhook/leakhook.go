// Package leakhook is the hook by which transport/leaktest sees what each Transport of the process does. It is not part of the public
// API of transport, since a program should not be able to reach what only a test may want to know.
package leakhook

import (
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
)

// Attach is called by each Transport at its first use, with the *transport.Transport, and returns who is told of what it
// does. Nil means nobody: then a request pays for one comparison. It is set before main, by leaktest alone. An init of another package,
// or a goroutine that one started, may have used Transports by then: those call it at their next request.
var Attach atomic.Pointer[func(transport any, s Subject) *Recorder]

// A Subject is what a Transport lets a Recorder ask and do. It refers to what works behind the Transport, never to the
// Transport itself, so that one which was dropped is still collected.
type Subject struct {
	// Bubble is true where the Transport was first used in a bubble of testing/synctest, outside of which only Redact may be
	// called.
	Bubble bool
	// InBubble reports whether its caller runs in a bubble.
	InBubble func() bool
	// Small is how many bytes a body may have, if its size is known, to hold no connection once it has arrived.
	Small int64
	// Redact returns a URL as it may appear in a report.
	Redact func(*url.URL) string
	// Busy returns how many connections are open, being dialed or waited for.
	Busy func() int
	// Cancel cancels a request in progress.
	Cancel func(*http.Request)
	// Close is the Transport's own.
	Close func()
}

// A Recorder is told what one Transport does. Its functions are called with no lock held, concurrently.
type Recorder struct {
	// Began is called when a RoundTrip begins; what it returns is called when that ends, with the response, nil after an
	// error. It may replace the response's body.
	Began func(*http.Request) (ended func(*http.Response, Body))
	// Dialed is called with each new connection of the dialer's, in the goroutine of the dial.
	Dialed func(net.Conn)
	// Closed is called when Close or Shutdown was.
	Closed func()
}

// A Body is what lies behind the handle of a response body. It never refers to the handle, or the collector could not tell
// that the caller dropped it.
type Body struct {
	// Arrived is true where the whole body was in memory when it was handed out, and its connection free.
	Arrived bool
	// Close does what the handle's Close does. Nil: there is nothing to do, or nothing that can be done.
	Close func()
}
