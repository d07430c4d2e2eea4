package http1

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/watertight-go/watertight/internal/alarm"
)

// An Exchange is one request and how far it came. The fields of the first paragraph are set by the caller between
// Start and RoundTrip; those of the second tell, after RoundTrip, what a retry must know.
type Exchange struct {
	Ctx     context.Context
	Request *http.Request // never modified
	Head    Head
	// Body is sent after the head: Head.ContentLength bytes, or up to its EOF with Head.Chunked or where the length
	// is negative. RoundTrip takes it over: it is closed on every path but that of Stale, perhaps more than once. Nil: no body.
	Body io.ReadCloser
	// Probe asks whether Body has any byte before the head announces it: for methods that seldom have a body.
	Probe bool
	// Expect holds Body back until the server says "100 Continue" (RFC 9110 section 10.1.1).
	Expect bool
	// Look asks whether anything has arrived on the connection in the moment before the request is written. It is for Owners that are a
	// Sender, and requests without Probe and Trace, and not where ResponseHeaderTimeout is set.
	Look  bool
	Trace *httptrace.ClientTrace
	// Done is called once, when the exchange needs the request no more: by End or Orphan. Nil: nothing is.
	Done func()

	Stale    bool    // Look found something, so nothing was written, and Body is as it was
	Written  bool    // at least one byte of the request was written
	Received bool    // at least one byte of a response was received
	Failure  Failure // the part of the exchange in which the connection failed, if it was the connection

	partial  bool         // the request could not be written whole
	tooSoon  bool         // the response began before the request's head was written
	answered bool         // the response's head was read
	lax      bool         // the peer, or somebody before it, may see another response than we do
	stop     func() bool  // ends the watch on Ctx; nil where there is none
	deadline error        // what a read deadline that passes means; nil while none is set
	timer    *alarm.Timer // in place of the deadline, on a connection without; nil on others
}

// A Failure tells in which part of an exchange its connection failed.
type Failure uint8

const (
	NoFailure      Failure = iota // it did not: the caller, its body, a timeout or the response's content ended the exchange
	FailedWriting                 // while the request was written
	FailedAwaiting                // while the first byte of the response was awaited
)

// responseGrace is how long a response may still arrive after writing the request failed: a server that refuses an
// upload answers and hangs up, and its answer says more than our broken pipe.
const responseGrace = 50 * time.Millisecond

// RoundTrip writes the request and reads the head of the response into resp, whose header values it keeps in values
// as far as they fit. On an error the exchange is over but for End. The error is the context's cause, or
// the cause given to Cancel, where that ended the exchange; an error of the request's body by identity; what the
// connection said while waiting for the first byte by identity, io.EOF included.
func (c *Conn) RoundTrip(resp *http.Response, values []string) error {
	x := &c.x
	if x.Ctx.Done() != nil {
		if c.abortContext == nil {
			c.abortContext = c.abortByContext
		}
		c.interrupting.Add(1)
		x.stop = context.AfterFunc(x.Ctx, c.abortContext)
	}
	if c.Aborted() {
		c.closeBody() // before it began
		return c.abortCause()
	}
	err := c.writeRequest()
	if err == nil {
		err = c.readHead(resp, values)
	}
	if err == nil && c.Aborted() && !c.UploadFailed() { // what came before that is the caller's
		err = c.abortCause()
	}
	if err == nil {
		return nil
	}
	if c.up != nil {
		return c.up.abandon(err)
	}
	if c.Aborted() {
		return c.abortCause()
	}
	return err
}

// writeRequest writes the head and, where it is at hand and fits, the body with it; any other body is left to an
// upload.
func (c *Conn) writeRequest() error {
	x := &c.x
	if err := c.probe(); err != nil {
		return err
	}
	b, whole, err := c.compose()
	if err != nil {
		return err
	}
	inline := x.Body == nil || whole != nil
	if x.Look {
		if b, err = c.send(b, inline); err != nil && !x.Written {
			return err
		}
	}
	if inline {
		x.takeBody(whole)
	} else {
		c.up = newUpload(c)
	}
	if len(b) == 0 {
		return nil
	}
	pieces := x.Written || len(b) > len(c.in.buf.b) // who answers the first of several may take the others for anything
	if err == nil {
		var n int
		n, err = c.nc.Write(b)
		x.Written = x.Written || n > 0
	}
	if t := x.Trace; t != nil && t.WroteHeaders != nil && err == nil {
		t.WroteHeaders()
	}
	x.tooSoon = err == nil && pieces && c.owner.Arrived()
	switch {
	case err != nil:
		if !c.Aborted() {
			x.Failure = FailedWriting
		}
		err = c.explain(err)
		c.closeBody()
		c.up = nil
	case !inline:
		if t := x.Trace; t != nil && t.Wait100Continue != nil && x.Expect {
			t.Wait100Continue()
		}
		go c.up.run()
		return nil
	}
	if t := x.Trace; t != nil && t.WroteRequest != nil {
		t.WroteRequest(httptrace.WroteRequestInfo{Err: err})
	}
	return c.wrote(err)
}

// wrote is told how the write of a whole request has ended.
func (c *Conn) wrote(err error) error {
	x := &c.x
	switch x.partial = err != nil; {
	case err != nil && (!x.Written || c.Aborted()):
		return err
	case err != nil:
		return c.awaitLastWord(err)
	}
	if d := c.opts().ResponseHeaderTimeout; d > 0 {
		c.Bound(d, ErrHeadTimeout)
	}
	return nil
}

// compose puts the head into the buffer and behind it the body, if that is in memory and fits: whole is the body then, still unread.
func (c *Conn) compose() (b []byte, whole memoryReader, err error) {
	x := &c.x
	b = AppendHead(c.in.buf.b[:0], x.Request, &x.Head, x.wroteField())
	if x.Body == nil || x.Expect || c.apart {
		return b, nil, nil
	}
	return x.appendBody(b)
}

// probe asks Body for its first byte, where that is to be known. It may take its time: then it is long since somebody looked what has
// arrived.
func (c *Conn) probe() error {
	if !c.x.Probe || c.x.Body == nil {
		return nil
	}
	if err := c.x.probe(); err != nil {
		return err
	}
	if !c.owner.Arrived() {
		return nil
	}
	c.closeBody()
	c.x.Failure = FailedWriting
	return ErrUnasked
}

// awaitLastWord gives the server's answer a moment to arrive after the request could not be written whole.
func (c *Conn) awaitLastWord(werr error) error {
	c.Bound(responseGrace, werr)
	if err := c.fill(int64(len(c.in.buf.b))); err != nil {
		return werr
	}
	return nil
}

// Bound ends the reads of the exchange in progress after d, which means err. On a connection without deadlines it aborts the
// exchange.
func (c *Conn) Bound(d time.Duration, err error) {
	c.Unbound()
	c.x.deadline = err
	if c.SetReadDeadline(time.Now().Add(d)) != nil {
		turn := c.Turn()
		c.x.timer = alarm.AfterFunc(d, func() { c.Cancel(turn, err) })
	}
}

// Unbound removes what Bound set.
func (c *Conn) Unbound() {
	switch {
	case c.x.timer != nil:
		c.x.timer.Stop()
	case c.x.deadline != nil:
		_ = c.SetReadDeadline(time.Time{})
	}
	c.x.deadline, c.x.timer = nil, nil
}

// closeBody closes a body that no upload has taken over.
func (c *Conn) closeBody() {
	if c.x.Body != nil {
		_ = c.x.Body.Close()
		c.x.Body = nil
	}
}

func (x *Exchange) wroteField() func(string, []string) {
	if x.Trace == nil {
		return nil
	}
	return x.Trace.WroteHeaderField
}

// readHead reads heads until one is final, and what its framing says of the body.
func (c *Conn) readHead(resp *http.Response, values []string) error {
	budget := c.opts().maxHeadBytes()
	for {
		n, err := c.awaitHead(budget)
		if err != nil {
			return err
		}
		head := c.in.unread()[:n]
		lax, err := ParseHead(head, resp, values)
		if err != nil {
			return err
		}
		c.x.lax = c.x.lax || lax
		c.in.r += n
		budget -= int64(n)
		if resp.StatusCode >= 200 || resp.StatusCode == http.StatusSwitchingProtocols {
			break
		}
		c.x.lax = c.x.lax || announcesBody(resp)
		passed, err := c.informational(resp)
		if err != nil {
			return err
		}
		if passed {
			// The caller saw this one and bounds their number.
			budget = c.opts().maxHeadBytes()
		}
		values = nil // the hook may have kept them
	}
	c.Unbound()
	if c.up != nil {
		if err := c.up.headDone(); err != nil {
			return err
		}
	}
	c.x.answered = true
	return c.frameBody(resp)
}

// awaitHead returns the length of the next head, read whole into the buffer.
func (c *Conn) awaitHead(budget int64) (int, error) {
	if c.in.empty() {
		c.in.r, c.in.w = 0, 0
	}
	searched := 0
	for {
		b := c.in.unread()
		if len(b) > 0 && !c.x.Received {
			c.x.Received = true
			if t := c.x.Trace; t != nil && t.GotFirstResponseByte != nil {
				t.GotFirstResponseByte()
			}
		}
		if n := HeadEnd(b, searched); n >= 0 {
			if int64(n) > budget {
				return 0, errHeadTooLarge(c.opts().maxHeadBytes())
			}
			return n, nil
		}
		if err := judgeFirstLine(b, searched); err != nil {
			return 0, err
		}
		searched = len(b)
		if c.untimed && c.early.Load() == nil {
			c.beginEarly(claimed, nil)
		}
		switch err := c.fill(budget); {
		case err == errFull:
			return 0, errHeadTooLarge(c.opts().maxHeadBytes())
		case err == io.EOF && c.x.Received:
			return 0, cutHead(c.in.unread()) // which fill has moved
		case err != nil && c.x.Received:
			return 0, err
		case err != nil:
			if !c.Aborted() && err != c.x.deadline && c.x.Failure == NoFailure {
				c.x.Failure = FailedAwaiting
			}
			return 0, err
		}
	}
}

// informational handles a 1xx response (RFC 9110 section 15.2) and reports whether the caller's hook took it.
func (c *Conn) informational(resp *http.Response) (passed bool, err error) {
	t := c.x.Trace
	if resp.StatusCode == http.StatusContinue && c.up != nil && c.x.Expect {
		c.x.Expect = false // told once, and before the body moves
		if t != nil && t.Got100Continue != nil {
			t.Got100Continue()
		}
		c.up.open(sendBody)
	}
	if t != nil && t.Got1xxResponse != nil {
		return true, t.Got1xxResponse(resp.StatusCode, textproto.MIMEHeader(resp.Header))
	}
	return false, nil
}

// frameBody notes how the body ends, and lets go of an upload that still waits for leave.
func (c *Conn) frameBody(resp *http.Response) error {
	f, keepAlive, err := ResponseFraming(method(c.x.Request), resp)
	if err != nil {
		return err
	}
	switches := SwitchesProtocol(resp)
	if switches {
		f = UntilClose // what comes is another protocol's
	} else if resp.StatusCode == http.StatusSwitchingProtocols {
		keepAlive = false // it does not say to which
	}
	c.body = responseBody{
		framing:   f,
		keepAlive: keepAlive && !c.x.lax && !c.x.Request.Close && !c.x.Head.NoKeepAlive && !WantsClose(c.x.Request.Header),
		remaining: resp.ContentLength,
		done:      f == NoBody,
	}
	if c.up != nil {
		// A final answer instead of "100 Continue": the body is sent only where the connection goes on, in this
		// protocol or another, which needs the request to end as announced.
		c.up.open(c.body.keepAlive || switches)
	}
	return nil
}

// SwitchesProtocol reports whether a response hands the connection to another protocol, which it must name (RFC 9110 section 7.8).
func SwitchesProtocol(resp *http.Response) bool {
	return resp.StatusCode == http.StatusSwitchingProtocols && resp.Header.Get("Upgrade") != "" &&
		httpguts.HeaderValuesContainsToken(resp.Header["Connection"], "Upgrade")
}

func method(req *http.Request) string {
	if req.Method == "" {
		return http.MethodGet
	}
	return req.Method
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}
