package http1

// A Sender is an Owner whose connection can look, write and wait in one step.
type Sender interface {
	// Send first reads what is there, without waiting. If there is something, or the end, it does no more: that is n and err, and wrote
	// is 0. Otherwise it writes p, and where all of that could be written at once it waits for what comes, as Read does: that is n and
	// err then. It returns with a smaller wrote, n 0 and a nil err where writing would have to wait. A wrote between those, with an err, is a
	// request of which a part was written, and the rest cannot be.
	//
	// into may be the memory that p is in.
	Send(p, into []byte) (wrote, n int, err error)
}

// send looks whether anything has arrived, the end included, that makes the connection useless for a request. If not, it writes that, where
// b is the whole of it, and makes what comes then the input. An error of the write's beginning is as good as an end: nothing was written.
// It returns what is left to write: what there was no room for, and all of a head that is larger than the buffer or not the whole; with an
// error behind a part that was written.
func (c *Conn) send(b []byte, whole bool) (rest []byte, err error) {
	x, in := &c.x, &c.in
	if !whole || len(b) > len(in.buf.b) {
		if c.owner.Arrived() {
			return nil, c.stale(ErrUnasked)
		}
		return b, c.stale(in.err)
	}
	into := in.buf.b[:min(int64(len(in.buf.b)), c.opts().maxHeadBytes())]
	wrote, n, err := c.owner.(Sender).Send(b, into)
	x.Written = wrote > 0
	switch {
	case wrote == len(b) && n > 0:
		in.r, in.w = 0, n
		return nil, nil // an error that came with bytes comes again
	case wrote == len(b):
		in.err = c.explain(err)
		return nil, nil // the read's, for whom it concerns
	case wrote > 0 && err != nil:
		return b[wrote:], err
	case n > 0:
		return nil, c.stale(ErrUnasked)
	case err != nil:
		return nil, c.stale(c.explain(err))
	}
	return b[wrote:], nil
}

// stale notes why nothing was written, unless err is nil. The body is another attempt's then, unless this one was aborted.
func (c *Conn) stale(err error) error {
	switch {
	case err == nil:
	case c.Aborted():
		c.closeBody()
	default:
		c.x.Stale, c.x.Body = true, nil
	}
	return err
}
