package transport

import (
	"net"
	"net/http"

	"github.com/watertight-go/watertight/internal/leakhook"
)

// attach lets leaktest, where a program has it, know of a Transport.
func (c *core) attach(t *Transport) {
	attach := leakhook.Attach.Load()
	if attach == nil {
		return
	}
	c.attached.Do(func() { c.recorder.Store((*attach)(t, c.subject())) })
}

func (c *core) subject() leakhook.Subject {
	return leakhook.Subject{
		Bubble:   c.bubble,
		InBubble: inBubble,
		Small:    int64(c.http1.Buffers.Len()),
		Redact:   c.bodies.redact,
		Busy: func() int {
			now := c.pool.Total()
			return now.Open + now.Dialing + now.Waiting
		},
		Cancel: c.cancelRequest,
		Close:  func() { _ = c.close() },
	}
}

// recorded is RoundTrip in a program that has leaktest. A Transport with settings that Validate refuses does nothing that could
// be recorded.
func (t *Transport) recorded(req *http.Request) (resp *http.Response, err error) {
	c, refused := t.running()
	if refused != nil || checkShape(req) != nil {
		return t.roundTrip(req)
	}
	c.attach(t) // or it was used before leaktest was there
	ended := c.recorder.Load().Began(req)
	defer func() { ended(resp, behind(resp)) }() // also after a panic of the caller's callbacks
	return t.roundTrip(req)
}

// dialed tells leaktest of a connection.
func (c *core) dialed(nc net.Conn) {
	if r := c.recorder.Load(); r != nil {
		r.Dialed(nc)
	}
}

// closed tells leaktest of Close.
func (c *core) closed() {
	if r := c.recorder.Load(); r != nil {
		r.Closed()
	}
}

// behind returns what lies behind the handle of a response's body, which may be nil.
func behind(resp *http.Response) leakhook.Body {
	if resp == nil {
		return leakhook.Body{}
	}
	switch b := resp.Body.(type) {
	case *detachedBody, *unzipped:
		return leakhook.Body{Arrived: true}
	case *streamBody:
		return leakhook.Body{Close: b.s.close}
	case *http2Handle:
		return leakhook.Body{Close: b.b.close}
	case *tunnelBody:
		t := b.t
		return leakhook.Body{Close: func() { _, _ = t.close() }}
	case *guardedHandle:
		return leakhook.Body{Close: b.b.close}
	case *guardedTunnel:
		return leakhook.Body{Close: b.b.close}
	}
	return leakhook.Body{}
}

// close is Close without the handle. Closing can block, as that of HTTP/2 does.
func (b *guardedBody) close() {
	if b.end("") {
		go func() { _ = b.body.Close() }()
	}
}
