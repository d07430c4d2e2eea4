package http1

import (
	"io"
	"math"
	"net/http"
)

// A responseBody is how far the body of the exchange in progress was read.
type responseBody struct {
	framing   Framing
	keepAlive bool  // what both sides said
	remaining int64 // Length: bytes still to come
	chunks    ChunkDecoder
	done      bool  // read to its end
	err       error // what ended it otherwise; sticky
}

// directRead is the smallest destination into which a chunked body is read with its framing in place.
const directRead = 2 << 10

// Framing tells how the body of the exchange in progress ends.
func (c *Conn) Framing() Framing { return c.body.framing }

// Done reports whether the response's body was read to its end.
func (c *Conn) Done() bool { return c.body.done }

// Remaining returns how many bytes of the body are still to come, -1 if that is not known.
func (c *Conn) Remaining() int64 {
	switch {
	case c.body.done:
		return 0
	case c.body.framing == Length:
		return c.body.remaining
	}
	return -1
}

// KeepAlive reports whether both sides mean the connection to go on after this exchange, and nobody can doubt where that ended.
func (c *Conn) KeepAlive() bool {
	return c.body.keepAlive && !c.body.chunks.Lax() && !c.x.partial
}

// Trailer returns the trailer fields of a chunked body that was read to its end, nil if it had none.
func (c *Conn) Trailer() http.Header { return c.body.chunks.Trailer() }

// Detach takes the whole body out of the exchange if all of it lies in the buffer and the request is written, or has failed: the
// exchange can then End before anybody reads. buf is freed by the caller once it needs body no more; it is nil where
// the body is empty.
func (c *Conn) Detach() (buf *Buffer, body []byte, ok bool) {
	b := &c.body
	if c.up != nil && !b.done && !c.up.isDone() && !c.UploadFailed() {
		return nil, nil, false
	}
	unread := c.in.unread()
	switch {
	case b.done:
		return nil, nil, true
	case b.framing == Length && b.remaining <= int64(len(unread)):
		body = unread[:b.remaining]
		c.in.r += int(b.remaining)
	case b.framing == Chunked:
		whole, n, ok, err := b.chunks.DecodeAll(unread)
		if !ok || err != nil {
			return nil, nil, false // an error shows again when the body is read
		}
		body = whole
		c.in.r += n
	default:
		return nil, nil, false
	}
	b.done = true
	if !c.in.empty() {
		// Bytes nobody asked for: the connection is not used again, and they are dropped with it.
		b.keepAlive = false
	}
	return c.in.take(), body, true
}

// MayDetach reports whether what is to come of the body may fit into the buffer, so that a Detach may succeed.
func (c *Conn) MayDetach() bool {
	if c.in.err != nil || c.body.framing == UntilClose {
		return false
	}
	room := int64(len(c.in.buf.b) - c.Buffered())
	return room > 0 && c.Remaining() <= int64(c.Buffered())+room
}

// Fill reads once into the buffer if MayDetach. It reports whether it read anything. An error shows again when the body is
// read.
func (c *Conn) Fill() bool { return c.MayDetach() && c.fill(int64(len(c.in.buf.b))) == nil }

// ReadOn forgets that a Read of the connection failed, for one of what was taken off it since. It reports whether one had.
func (c *Conn) ReadOn() bool {
	if c.in.err == nil {
		return false
	}
	c.in.err, c.body.err = nil, nil
	return true
}

// ReadBody reads from the body as io.Reader says. io.EOF comes as soon as the end is known, with the last bytes if
// that can be.
func (c *Conn) ReadBody(p []byte) (n int, err error) {
	b := &c.body
	switch {
	case b.done:
		return 0, io.EOF
	case b.err != nil:
		return 0, b.err
	case len(p) == 0:
		return 0, nil
	}
	switch b.framing {
	case Length:
		n, err = c.readLength(p)
	case Chunked:
		n, err = c.readChunked(p)
	case UntilClose:
		n, err = c.readSome(p, math.MaxInt64)
		if err == io.EOF && c.up != nil {
			if reset := c.up.resetUnder(); reset != nil {
				err = reset
			}
		}
	default:
		err = io.EOF
	}
	switch {
	case err == io.EOF:
		b.done = true
	case err != nil && err != ErrWouldBlock:
		b.err = err
	}
	return n, err
}

// readSome reads what is buffered, or else once from the connection, of a body of which so much is left.
func (c *Conn) readSome(p []byte, left int64) (int, error) {
	if c.in.empty() {
		if !c.readsAhead(len(p), left) {
			n, err := c.read(p)
			c.in.more = n == len(p)
			return n, err
		}
		if err := c.fill(left); err != nil {
			return 0, err
		}
	}
	n := copy(p, c.in.unread())
	c.use(n)
	return n, nil
}

func (c *Conn) readLength(p []byte) (int, error) {
	b := &c.body
	if int64(len(p)) > b.remaining {
		p = p[:b.remaining]
	}
	n, err := c.readSome(p, b.remaining)
	b.remaining -= int64(n)
	switch {
	case b.remaining == 0:
		return n, io.EOF
	case n > 0:
		return n, nil // an error that came with bytes comes again
	}
	return n, UnexpectedEOF(err)
}

// readChunked reads data of a chunked body. Large destinations are read into with the framing, which is taken out in
// place: one system call brings many chunks. What is left of an unfinished element moves to the buffer.
func (c *Conn) readChunked(p []byte) (int, error) {
	for {
		var n int
		var err error
		switch {
		case !c.in.empty():
			var rest int
			n, rest, err = c.body.unchunk(p, c.in.unread())
			c.use(c.Buffered() - rest)
		case !c.readsAhead(len(p), math.MaxInt64) && len(p) >= directRead:
			var got int
			if got, err = c.read(p); got == 0 {
				return 0, UnexpectedEOF(err)
			}
			c.in.more = got == len(p)
			var rest int
			n, rest, err = c.body.unchunk(p, p[:got])
			if !c.in.put(p[got-rest : got]) {
				c.body.keepAlive = false
				if err == nil {
					err = errTrailerTooLarge(len(c.in.buf.b))
				}
			}
		}
		if n > 0 || err != nil {
			return n, err
		}
		limit := c.opts().Buffers.Len() // of an element that is not whole
		if c.in.empty() {
			limit = len(c.in.buf.b)
		}
		switch err := c.fill(int64(limit)); {
		case err == errFull:
			return 0, errTrailerTooLarge(limit)
		case err != nil:
			return 0, UnexpectedEOF(err)
		}
	}
}

// unchunk moves the data in src to p, which may be the same memory, and tells how many bytes at the end of src it left.
// io.EOF means the body's end.
func (b *responseBody) unchunk(p, src []byte) (n, rest int, err error) {
	for len(src) > 0 {
		if remaining := b.chunks.Remaining(); remaining > 0 {
			m := copy(p[n:], src[:min(remaining, int64(len(src)))])
			if m == 0 {
				break // p is full
			}
			b.chunks.Take(int64(m))
			n, src = n+m, src[m:]
			continue
		}
		used, err := b.chunks.Frame(src)
		src = src[used:]
		switch {
		case b.chunks.Done():
			return n, len(src), io.EOF
		case err == ErrShort:
			return n, len(src), nil
		case err != nil:
			return n, len(src), err
		}
	}
	return n, len(src), nil
}

// Buffered returns how many received bytes a read finds without asking the connection.
func (c *Conn) Buffered() int { return c.in.w - c.in.r }
