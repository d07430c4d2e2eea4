package http1

import (
	"errors"
	"io"
)

// An input is what was received on a connection during one exchange and not yet used: buf.b[r:w].
type input struct {
	buf  *Buffer
	r, w int
	more bool  // the last read brought all that it had room for, so that there is likely to be more
	err  error // what ended reading; set once
}

func (in *input) unread() []byte {
	if in.buf == nil {
		return nil
	}
	return in.buf.b[in.r:in.w]
}

func (in *input) empty() bool { return in.r == in.w }

// release returns the buffer and forgets everything.
func (in *input) release() {
	if in.buf != nil {
		in.buf.Free()
	}
	*in = input{}
}

// take gives the buffer away, for a detached body.
func (in *input) take() *Buffer {
	buf := in.buf
	in.buf, in.r, in.w = nil, 0, 0
	return buf
}

// exchange lends another buffer in place of the one that is there, in which nothing is unread.
func (in *input) exchange(from *BufferPool) {
	in.buf.Free()
	in.buf, in.r, in.w = from.get(), 0, 0
}

// put makes b, which the caller read in another piece of memory, the unread bytes. The input is empty before.
func (in *input) put(b []byte) bool {
	if len(b) > len(in.buf.b) {
		return false
	}
	in.r, in.w = 0, copy(in.buf.b, b)
	return true
}

// errFull is what fill returns when limit unread bytes are there already.
var errFull = errors.New("http1: element larger than its limit")

// fill reads once from the connection behind the unread bytes, making room as needed, to at most limit bytes.
func (c *Conn) fill(limit int64) error {
	in := &c.in
	if in.err != nil {
		return in.err
	}
	if in.r > 0 {
		in.w = copy(in.buf.b, in.buf.b[in.r:in.w])
		in.r = 0
	}
	if int64(in.w) >= limit {
		return errFull
	}
	if in.w == len(in.buf.b) {
		in.buf.b = append(in.buf.b, make([]byte, len(in.buf.b))...)
	}
	end := min(int64(len(in.buf.b)), limit)
	n, err := c.read(in.buf.b[in.w:end])
	in.w += n
	in.more = int64(in.w) == end
	if n > 0 {
		return nil // an error that came with bytes comes again
	}
	return err
}

// aheadSize is how much of a body is read at a time for who reads less, while there is as much.
const aheadSize = 64 << 10

var aheadBuffers = BufferPool{Size: aheadSize}

// readsAhead reports whether who wants so many bytes of a body, of which so much is left, is to have them through the buffer, which is
// empty. Most programs read a few KiB at a time, as io.Copy and io.ReadAll do through an http.Client with a Timeout: what is there is taken
// off the kernel at once then. Not from TLS, of which no more is had at once.
func (c *Conn) readsAhead(size int, left int64) bool {
	in := &c.in
	most := min(left, aheadSize)
	if c.records || int64(size) >= most {
		return false
	}
	if in.more && int64(len(in.buf.b)) < most {
		in.exchange(&aheadBuffers)
	}
	return size < len(in.buf.b)
}

// use takes n bytes off the unread ones. An open body of which nothing is here needs no large buffer.
func (c *Conn) use(n int) {
	in := &c.in
	if in.r += n; in.empty() && in.buf.pool == &aheadBuffers {
		in.exchange(&c.opts().Buffers)
	}
}

// FillHead reads once of the response that is awaited, and reports whether there was anything. It is for Owner.Arrived. An error shows
// again when the head is read.
func (c *Conn) FillHead() bool { return c.fill(int64(len(c.in.buf.b))) == nil }

// ErrWouldBlock is for a net.Conn to return where it was told not to wait: the exchange goes on as if nobody had
// read. It says that it is temporary, as crypto/tls spoils a connection after any other error.
var ErrWouldBlock error = wouldBlock{}

type wouldBlock struct{}

func (wouldBlock) Error() string   { return "http1: a read would block" }
func (wouldBlock) Timeout() bool   { return true }
func (wouldBlock) Temporary() bool { return true }

// maxEmptyReads is how many reads in a row may bring nothing, which io.Reader allows and discourages.
const maxEmptyReads = 100

// ReadSomething reads until there are bytes or an error. Too many Reads that bring neither are a failure, so that no loop spins.
func ReadSomething(read func([]byte) (int, error), p []byte) (n int, err error) {
	for i := 0; ; i++ {
		n, err = read(p)
		switch {
		case n > 0 || err != nil || len(p) == 0:
			return n, err
		case i == maxEmptyReads:
			return 0, io.ErrNoProgress
		}
	}
}

// read reads from the connection.
func (c *Conn) read(p []byte) (int, error) {
	if c.in.err != nil {
		return 0, c.in.err
	}
	n, err := ReadSomething(c.readOnce, p)
	if err == ErrWouldBlock {
		return n, err
	}
	if err != nil {
		c.in.err = c.explain(err)
	}
	return n, c.in.err
}

// explain turns what the connection says into why the exchange failed: an abort shows itself as a deadline.
func (c *Conn) explain(err error) error {
	switch {
	case c.Aborted():
		return c.abortCause()
	case c.x.deadline != nil && isTimeout(err):
		return c.x.deadline
	}
	return err
}

// UnexpectedEOF tells an end in the middle from an end.
func UnexpectedEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
