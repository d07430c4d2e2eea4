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

// send writes a request that is whole in b, unless something has arrived that makes the connection useless for it, and makes what
// arrives then the input. An end that was there before, and an error of the write's beginning, both leave nothing written.
func (c *Conn) send(b []byte) error {
	x, in := &c.x, &c.in
	into := in.buf.b[:min(int64(len(in.buf.b)), c.opts().maxHeadBytes())]
	wrote, n, err := c.nc.(Sender).Send(b, into)
	x.Written = wrote > 0
	switch {
	case wrote == len(b) && n > 0:
		in.r, in.w = 0, n
		return nil // an error that came with bytes comes again
	case wrote == len(b):
		in.err = c.explain(err)
		return nil // the read's, for whom it concerns
	case n > 0:
		x.Stale = true
		return ErrUnasked
	case err != nil:
		x.Stale = !c.Aborted()
		return c.explain(err)
	}
	n, err = c.nc.Write(b[wrote:])
	x.Written = x.Written || n > 0
	if err == nil {
		x.tooSoon = wrote > 0 && c.owner.Arrived()
		return nil
	}
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
