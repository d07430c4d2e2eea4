package transport

import (
	"bytes"
	"context"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/watertight-go/watertight/internal/http1"
	"github.com/watertight-go/watertight/pool"
)

// An http2Exchange is one attempt on an http2Conn. Its lease is its stream's, once it has one: the wire ends it then.
type http2Exchange struct {
	conn   *http2Conn
	lease  pool.Lease[route, conn]
	began  time.Duration // by the core's clock
	url    *url.URL      // a copy where RoundTrip may return before it is read
	req    http.Request  // as x/net has it
	ctx    http2Context  // of that
	upload *http2Upload  // nil: no body
	last   bool          // the request's sender wants the connection closed after it
	unzips bool          // we asked for gzip, and, once there is a response, it is that
	length int64         // of the response's body as it was announced; below 0: it was not
	once   sync.Once     // ends it

	// The wire's mu guards the fields below.
	stream http2Stream   // none before the head is written
	left   bool          // RoundTrip gave up before that
	await  chan struct{} // closed when there is a stream; nil: nobody waits for it

	// These are set before the stream is over, or not at all.
	body  *http2Body  // nil: none yet, or no body
	done  func()      // what else ends with the stream; nil: nothing
	uncut func() bool // ends the watch on the request's end, for an upload that goes on; nil: there is none
}

// takeClose takes from req, which is a copy, the wish to close the connection after it. HTTP/2 has no words for that (RFC 9113
// section 8.2.2), and the codec, if it is told, refuses those who have been lent the connection and have yet to begin.
func (x *http2Exchange) takeClose(req *http.Request) {
	options := req.Header["Connection"]
	alone := len(options) == 1 && strings.EqualFold(options[0], "close") // anything else is the codec's to refuse
	if alone {
		req.Header = maps.Clone(req.Header)
		delete(req.Header, "Connection")
	}
	x.last = req.Close || alone
	req.Close = false
}

// wroteHead is the hook that is called when the request's head has been written.
func (x *http2Exchange) wroteHead() {
	x.upload.begin()
	x.conn.wire.claim(x)
	x.conn.pinger.began(x.conn)
	if x.last {
		x.conn.retire(ReasonNoKeepAlive)
	}
}

// end is called when the stream has ended, by whoever notices. It returns when the lease has ended, whoever was first, unless a Read of the
// request's body has yet to end that: see leavesLater.
func (x *http2Exchange) end() {
	if x != nil {
		x.once.Do(x.ended)
	}
}

func (x *http2Exchange) ended() {
	if x.body != nil {
		x.body.setApart()
	}
	if !x.leavesLater() {
		x.leaveLease()
	}
	if x.uncut != nil {
		x.uncut()
		x.upload.drop()
	}
	if x.done != nil {
		x.done()
	}
}

func (x *http2Exchange) leaveLease() {
	if x.conn.core.settings.DisableKeepAlives {
		x.conn.leave(x.lease, ReasonNoKeepAlive) // or it would be one idle connection too many
	} else {
		x.conn.leave(x.lease, "")
	}
}

// leave gives up what RoundTrip was to do. It returns the stream; without one, none will be claimed.
func (x *http2Exchange) leave() (s http2Stream, ok bool) {
	w := x.conn.wire
	w.mu.Lock()
	defer w.unlockSpent()
	if x.stream.id == 0 {
		x.left = true
		return s, false
	}
	if x.stream.lost = true; x.stream.over {
		w.eaten += int64(x.stream.got)
	}
	return x.stream, true
}

// failed ends an attempt that has no response, and tells what is known for another.
func (x *http2Exchange) failed(a *attempt, err error) error {
	hc := x.conn
	s, written := x.leave()
	x.upload.leave()
	hc.pinger.gaveUp(hc)
	_, own := err.(*uploadError)
	failed, refused := ofStream(err)
	if refused && written {
		hc.wire.readToEnd(&x.stream) // so that the lease has ended when the request is sent again
	}
	switch {
	case a.refusals > 0 && !hc.wire.spoken.Load():
		a.reused = false // the second that ends before it is one: it is the server, and no accident of who opened it
	case hc.wire.answered() > 0:
		a.reused = true // it has served others: its end is no answer to the first
	}
	if written && (a.ctx.Err() == context.DeadlineExceeded || !own && isTimeout(err)) {
		hc.pinger.doubt(hc, s)
	}
	if a.ctx.Err() != nil {
		if !written {
			hc.leave(x.lease, "")
		}
		return a.cause() // the stream is reset, and the connection goes on
	}
	a.written, a.received = written && !s.unsent, s.heard
	switch {
	case own: // the request's
	case !written && hc.mayBeSpent() && (a.reused || hc.wire.isLeaving()), written && !failed && hc.wire.unseen(s), refused:
		a.unprocessed, a.failure = true, http1.FailedWriting
	case hc.wire.lost.Load():
		a.failure = http1.FailedAwaiting
	}
	switch {
	case !written && hc.mayBeSpent():
		hc.leave(x.lease, ReasonFailed)
	case !written:
		hc.leave(x.lease, "")
	case hc.wire.lost.Load() || !own && isConnectionError(err):
		hc.retire(ReasonFailed)
	}
	return x.explain(a, err)
}

// respond hands out a response.
func (x *http2Exchange) respond(a *attempt, resp *http.Response) (*http.Response, error) {
	seen, ok := x.awaitStream(a)
	if !ok {
		go func() { _ = resp.Body.Close() }() // which may have to wait as well
		x.upload.leave()
		if a.ctx.Err() != nil {
			x.conn.leave(x.lease, "") // the head is likely to have been written, and its writer not yet back
			return nil, a.cause()
		}
		x.conn.leave(x.lease, ReasonFailed)
		return nil, x.explain(a, errNotAsked)
	}
	if err := judgeHead(resp, seen.large); err != nil {
		go func() { _ = resp.Body.Close() }() // the stream ends, and with it the lease
		x.upload.leave()
		a.written, a.received = true, true
		return nil, x.explain(a, err)
	}
	if x.upload != nil && !seen.sent {
		x.watchUpload(a.ctx, resp.Body)
	}
	dropConnectionFields(resp)
	resp.Request, resp.TLS = a.req, x.conn.tls
	s := &x.stream
	if a.req.Method == http.MethodHead || seen.ended && resp.ContentLength == 0 && isEmpty(resp.Body) {
		dropFraming(resp.Trailer)
		resp.Body = http.NoBody
		x.settle(a, s)
		return resp, nil
	}
	x.length = resp.ContentLength
	x.unzips = x.unzips && resp.ContentLength != 0 && unzips(resp)
	var rest io.Reader
	if seen.ended && resp.ContentLength > 0 && resp.ContentLength <= maxTakenAtOnce {
		if rest = x.conn.core.http2.take(resp); rest == nil {
			x.settle(a, s)
			return resp, nil
		}
	}
	own := *resp // the stream keeps the other: the body's guard must not be reachable from there
	x.newBody(a, s, resp, &own, rest)
	return &own, nil
}

// settle ends an exchange that needs nobody to read its body: the lease has ended then, unless the request's body is still being
// sent.
func (x *http2Exchange) settle(a *attempt, s *http2Stream) {
	w := x.conn.wire
	w.mu.Lock()
	over := s.over
	if !over {
		x.done = a.done
	}
	w.mu.Unlock()
	if over {
		x.end()
		a.done()
	} else {
		w.readToEnd(s)
	}
}

// maxTakenAtOnce is the size of a body that is detached if it has arrived with its head: copying a larger one costs more than it saves.
const maxTakenAtOnce = 8 << 10

// leastLent is the size of a body for which a buffer is lent: a smaller one that nobody reads should not keep so much memory.
const leastLent = 1 << 10

// take makes the body of resp, which has arrived, one in memory. Where there is something wrong with the body it returns what it is to
// read.
func (e *http2Engine) take(resp *http.Response) io.Reader {
	body := &detachedBody{resp: resp, trailer: maps.Clone(resp.Trailer)} // declared, without the values that reading brings
	size := int(resp.ContentLength)
	b := []byte(nil)
	if size < leastLent {
		b = make([]byte, size+1)
	} else {
		body.buf, b = e.buffers.Lend()
	}
	n, err := io.ReadFull(resp.Body, b[:size])
	if err == nil {
		more := b[size:]
		if len(more) == 0 {
			more = make([]byte, 1)
		}
		_, err = resp.Body.Read(more)
	}
	resp.Trailer, body.trailer = body.trailer, resp.Trailer
	if err != io.EOF {
		defer body.Close()
		return io.MultiReader(bytes.NewReader(bytes.Clone(b[:n])), failingReader{err})
	}
	body.rest, resp.Body = b[:size], body
	return nil
}

// writtenWithin is how long a request's head may still be on its way when its answer has come.
const writtenWithin = 10 * time.Second

// awaitStream waits until an exchange that has a response has its stream as well, and returns what is known of that by now: whoever wrote
// the head may still be about to say so. It reports false if nobody does, as the server answers what it was not asked.
func (x *http2Exchange) awaitStream(a *attempt) (seen http2Stream, ok bool) {
	w := x.conn.wire
	w.mu.Lock()
	if x.stream.id != 0 {
		defer w.mu.Unlock()
		return x.stream, true
	}
	claimed := make(chan struct{})
	x.await = claimed
	w.mu.Unlock()
	timer := time.NewTimer(writtenWithin)
	defer timer.Stop()
	select {
	case <-claimed:
	case <-timer.C:
	case <-a.ctx.Done():
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if x.stream.id == 0 {
		x.left = true
		return seen, false
	}
	return x.stream, true
}

// isEmpty reads a body that has arrived.
func isEmpty(body io.Reader) bool {
	n, err := body.Read(make([]byte, 1))
	return n == 0 && err == io.EOF
}

// explain says with whom the exchange failed where the error does not say so itself.
func (x *http2Exchange) explain(a *attempt, err error) error {
	return x.conn.explain(a.req.Method, a.req.URL, err)
}
