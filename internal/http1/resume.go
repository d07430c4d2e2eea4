package http1

import (
	"net/http"
	"runtime"
	"time"
)

// Orphan lets go of the request of an exchange that was aborted while its response was awaited or read, and reports whether
// that response may still be read, after Resume, for nothing but the connection's sake: the request must have been written
// whole.
func (c *Conn) Orphan() bool {
	x := &c.x
	if !x.Written || x.partial || x.Failure != NoFailure || c.up != nil && !c.up.sent() {
		return false
	}
	if !x.answered {
		// The framing of the response depends on so much of it.
		x.Request = &http.Request{Method: method(x.Request), Close: x.Request.Close || WantsClose(x.Request.Header)}
	} else {
		x.Request = nil
	}
	if x.Done != nil {
		x.Done()
	}
	x.Ctx, x.Trace, x.Body, x.Done, c.up = nil, nil, nil, nil, nil
	return true
}

// Resume takes an orphaned exchange up again, in a new turn, until the deadline. It waits until the abort has done what it had to
// do, or it would hit this turn or the next.
func (c *Conn) Resume(deadline time.Time) error {
	if stop := c.x.stop; stop != nil {
		c.x.stop = nil
		c.stopped(stop())
	}
	for c.interrupting.Load() > 0 {
		runtime.Gosched() // it sets a deadline and no more
	}
	c.turn.Store(c.Turn() + resumedTurn)
	c.in.err, c.body.err, c.x.deadline = nil, nil, nil
	if err := c.nc.SetWriteDeadline(time.Time{}); err != nil {
		return err
	}
	return c.SetReadDeadline(deadline)
}

// Skip reads the rest of a resumed exchange's response, limit bytes of its body at most, and reports whether that was its end.
func (c *Conn) Skip(limit int64) bool {
	if !c.x.answered {
		var resp http.Response
		if c.readHead(&resp, nil) != nil || resp.StatusCode == http.StatusSwitchingProtocols {
			return false
		}
	}
	if c.body.framing == UntilClose || c.Remaining() > limit {
		return false
	}
	buf := copyBuffers.Get().(*[copySize]byte)
	defer copyBuffers.Put(buf)
	for limit > 0 && !c.body.done {
		n, err := c.ReadBody(buf[:min(limit, int64(len(buf)))])
		limit -= int64(n)
		if err != nil {
			break
		}
	}
	return c.body.done && c.SetReadDeadline(time.Time{}) == nil
}
