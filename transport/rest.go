package transport

import (
	"io"
	"time"

	"github.com/watertight-go/watertight/internal/http1"
)

// awaitRest lets a small body whose last bytes are still under way end as one does that was there with its head: once they have
// arrived, its connection goes back to the pool, whether anybody reads or not. Servers write what does not fit into
// one buffer of theirs in two pieces.
//
// Nobody reads from the connection meanwhile, but what waits for it to have something to read keeps others from reading without
// waiting: so it ends before they begin.
//
// While the request's body is still being sent, as it mostly is for a moment when a server answers that has read all of it, the exchange
// is not over: uploaded is waited for first, if it is not nil.
func (s *stream) awaitRest(uploaded <-chan struct{}) {
	more := true
	if uploaded != nil {
		select {
		case <-uploaded:
			more = s.takeRest()
		case <-s.halt:
			more = false
		}
	}
	for more && s.conn.readsBeneath() && s.conn.sock().awaitInput() == nil {
		more = s.takeRest()
	}
	close(s.awaiting)
	s.aborted() // perhaps while takeRest held mu; a Close has waited for that
	if s.conn.peerGone() {
		s.absorb()
	}
}

// takeRest takes what has arrived into the buffer, and the body out of the exchange if that was all. It reports whether there is
// more to wait for: not if somebody reads.
func (s *stream) takeRest() (more bool) {
	s.takes.Add(1) // first, lest a Close takes us for a Read, which it leaves the end to
	defer s.takes.Add(1)
	if !s.mu.TryLock() {
		return false
	}
	if s.ended || s.absorbed || s.closing.Load() || s.conn.h.Aborted() {
		s.mu.Unlock()
		return false
	}
	whole := s.detachLocked()
	for !whole && s.conn.takeArrived() {
		whole = s.detachLocked()
	}
	more = !whole && s.conn.h.MayDetach()
	s.mu.Unlock()
	if whole {
		s.unlist()
		s.conn.release(s.lease, s.trace)
	}
	return more
}

// outliveUploadLocked keeps what is here of the body of an exchange that the request's body ended by failing: so an early answer is not
// lost to a caller who, having it, stops sending. The whole is taken out of the exchange; behind a part of it, Reads say what the request's
// body said. It reports whether it did, and has let mu go then.
func (s *stream) outliveUploadLocked() bool {
	switch {
	case s.ended || s.late != nil || s.closing.Load() || !s.conn.h.UploadFailed():
		return false
	case s.absorbed: // before, or by the peer's end
		s.mu.Unlock()
	case s.detachLocked():
		s.mu.Unlock()
		s.unlist()
		s.stopAwaiting()
		s.conn.discard(s.lease, ReasonUnfinished, s.trace)
	default:
		s.partLocked()
		s.mu.Unlock()
		s.unlist()
		s.lease.Discard(ReasonCancelled)
	}
	return true
}

// outlivesReadLocked is outliveUploadLocked for a Read in progress, which met the end of the upload before it saw what is here. It reports
// whether the Read may look again.
func (s *stream) outlivesReadLocked() bool {
	h := &s.conn.h
	return !s.absorbed && !s.closing.Load() && h.UploadFailed() && h.Aborted() && s.partLocked()
}

// partLocked takes what is here of the body off the connection, which is to be closed after unlist. It reports whether a Read had found
// the connection ended already.
func (s *stream) partLocked() (readsOn bool) {
	s.stopAwaiting()
	readsOn = s.takeStoppedLocked()
	s.conn.parts(ReasonCancelled) // before a Close can end the lease as well
	return readsOn
}

// detachLocked takes the body out of the exchange if all of it is in the buffer. The lease is to be ended then, after unlist.
func (s *stream) detachLocked() bool {
	buf, rest, ok := s.conn.h.Detach()
	if ok {
		s.late = &lateBody{buf: buf, rest: rest}
		s.trail = s.conn.h.Trailer()
	}
	return ok
}

// unlist takes the body off the open ones.
func (s *stream) unlist() {
	s.core.bodies.remove(&s.openBody)
	s.conn.stream.Store(nil)
}

// stopAwaiting ends awaitRest before somebody reads without waiting, or gives the connection away.
func (s *stream) stopAwaiting() {
	if s.awaiting == nil {
		return
	}
	select {
	case <-s.awaiting:
		return
	default:
	}
	select {
	case s.halt <- struct{}{}:
	default:
	}
	_ = s.conn.sock().SetReadDeadline(past)
	<-s.awaiting
	_ = s.conn.h.SetReadDeadline(time.Time{})
}

// A lateBody is what was still unread of a body when its rest had arrived.
type lateBody struct {
	buf  *http1.Buffer // nil where the rest is empty, and after the end
	rest []byte
}

func (b *lateBody) Read(p []byte) (int, error) {
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	if len(b.rest) > 0 {
		return n, nil
	}
	return n, io.EOF
}

// free gives the buffer back. The body is not read after it.
func (b *lateBody) free() {
	if b.buf != nil {
		b.buf.Free()
	}
	b.buf, b.rest = nil, nil
}
