package transport

import (
	"net"
	"net/http"

	"github.com/watertight-go/watertight/internal/leakhook"
)

// attach lets leaktest, where a program has it, know of a Transport.
func (c *core) attach(t *Transport) {
	if leakhook.Attach == nil {
		return
	}
	c.recorder = leakhook.Attach(t, leakhook.Subject{
		Bubble: c.bubble,
		Redact: c.bodies.redact,
		Busy: func() int {
			st := c.pool.Stats()
			return st.Open + st.Dialing + st.Waiting
		},
		Cancel: c.cancelRequest,
		Close:  func() { _ = c.close() },
	})
}

// recorded is RoundTrip in a program that has leaktest. A Transport with settings that Validate refuses does nothing that could
// be recorded.
func (t *Transport) recorded(req *http.Request) (resp *http.Response, err error) {
	c, refused := t.running()
	if refused != nil || checkShape(req) != nil {
		return t.roundTrip(req)
	}
	ended := c.recorder.Began(req)
	defer func() { ended(resp, behind(resp)) }() // also after a panic of the caller's callbacks
	return t.roundTrip(req)
}

// dialed tells leaktest of a connection.
func (c *core) dialed(nc net.Conn) {
	if c.recorder != nil {
		c.recorder.Dialed(nc)
	}
}

// closed tells leaktest of Close.
func (c *core) closed() {
	if c.recorder != nil {
		c.recorder.Closed()
	}
}

// behind returns what lies behind the handle of a response's body, which may be nil.
func behind(resp *http.Response) leakhook.Body {
	if resp == nil {
		return leakhook.Body{}
	}
	switch b := resp.Body.(type) {
	case *detachedBody, *unzipped:
		return leakhook.Body{State: func() leakhook.State { return leakhook.Arrived }}
	case *streamBody:
		return leakhook.Body{State: b.s.state, Close: b.s.close}
	case *tunnelBody:
		t := b.t
		return leakhook.Body{
			State: func() leakhook.State { return t.core.bodies.state(&t.openBody, leakhook.Gone) },
			Close: func() { _, _ = t.close() },
		}
	case *guardedHandle:
		return leakhook.Body{State: b.b.state, Close: b.b.close}
	case *guardedTunnel:
		return leakhook.Body{State: b.b.state, Close: b.b.close}
	}
	return leakhook.Body{}
}

// state is what has become of the connection.
func (s *stream) state() leakhook.State {
	over := s.core.bodies.state(&s.openBody, leakhook.Gone)
	switch {
	case over == leakhook.Held:
	case s.late != nil: // it was set before the body was removed from the register, and is not set again
		return leakhook.Arrived
	case s.reported.Load():
		return leakhook.Reclaimed
	}
	return over
}

func (b *guardedBody) state() leakhook.State {
	over := leakhook.Gone
	if b.reclaimed() {
		over = leakhook.Reclaimed
	}
	return b.open.state(&b.openBody, over)
}

// close is Close without the handle. Closing can block, as that of HTTP/2 does.
func (b *guardedBody) close() {
	if b.end("") {
		go func() { _ = b.body.Close() }()
	}
}

// state returns Held for a body that holds its connection, over for another.
func (r *register) state(b *openBody, over leakhook.State) leakhook.State {
	r.mu.Lock()
	defer r.mu.Unlock()
	if b.open {
		return leakhook.Held
	}
	return over
}
