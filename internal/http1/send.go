package http1

// A Sender is a net.Conn that can look, write and wait in one step.
type Sender interface {
	// Send first reads what is there, without waiting. If there is something, or the end, it does no more: that is n and err, and wrote
	// is 0. Otherwise it writes p, and where all of that could be written at once it waits for what comes, as Read does: that is n and
	// err then. It returns with a smaller wrote, n 0 and a nil err where writing would have to wait.
	//
	// into may be the memory that p is in.
	Send(p, into []byte) (wrote, n int, err error)
}

// send looks whether anything has arrived, the end included, that makes the connection useless for a request, which is whole in b. If
// not, it writes that and makes what comes then the input. An error of the write's beginning is as good as an end: nothing was written.
// A head of more than one piece it leaves to the caller.
func (c *Conn) send(b []byte) (sent bool, err error) {
	x, in := &c.x, &c.in
	if len(b) > len(in.buf.b) {
		if c.owner.Arrived() {
			return false, c.stale(ErrUnasked)
		}
		return false, c.stale(in.err)
	}
	into := in.buf.b[:min(int64(len(in.buf.b)), c.opts().maxHeadBytes())]
	wrote, n, err := c.nc.(Sender).Send(b, into)
	x.Written = wrote > 0
	switch {
	case wrote == len(b) && n > 0:
		in.r, in.w = 0, n
		return true, nil // an error that came with bytes comes again
	case wrote == len(b):
		in.err = c.explain(err)
		return true, nil // the read's, for whom it concerns
	case n > 0:
		return false, c.stale(ErrUnasked)
	case err != nil:
		return false, c.stale(c.explain(err))
	}
	return true, c.sendRest(b[wrote:])
}

// stale notes why nothing was written, unless err is nil.
func (c *Conn) stale(err error) error {
	c.x.Stale = err != nil && !c.Aborted()
	return err
}

// sendRest writes what Send had no room for.
func (c *Conn) sendRest(b []byte) error {
	x := &c.x
	n, err := c.nc.Write(b)
	if err == nil {
		x.tooSoon = x.Written && c.owner.Arrived()
		x.Written = true
		return nil
	}
	x.Written = x.Written || n > 0
	x.partial = true
	if c.Aborted() {
		return c.abortCause()
	}
	x.Failure = FailedWriting
	if !x.Written {
		return err
	}
	return c.awaitLastWord(err)
}
