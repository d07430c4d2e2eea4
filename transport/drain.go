package transport

import (
	"errors"
	"time"

	"github.com/watertight-go/watertight/internal/http1"
)

const (
	defaultMaxDrainBytes = 256 << 10
	defaultDrainTimeout  = 50 * time.Millisecond
)

// errDrainTimeout ends a drain, and is told to nobody.
var errDrainTimeout = errors.New("transport: DrainTimeout passed")

func (t *Transport) maxDrainBytes() int64 {
	if t.MaxDrainBytes == 0 {
		return defaultMaxDrainBytes
	}
	return max(t.MaxDrainBytes, 0)
}

func (t *Transport) drainTimeout() time.Duration {
	if t.DrainTimeout <= 0 {
		return defaultDrainTimeout
	}
	return t.DrainTimeout
}

// drain reads the rest of a body that its caller closed, within bounds, so that the connection can carry another
// request: closing it would cost a dial and leave a socket in TIME_WAIT. What has arrived is read at once, so that a
// request that follows finds the connection; for what has not, nobody waits.
func (s *stream) drain() {
	if s.late != nil {
		s.finish("")
		return
	}
	s.stopAwaiting()
	h := &s.conn.h
	if !h.Unwatch() {
		s.finish(ReasonCancelled)
		return
	}
	limit := s.core.settings.maxDrainBytes()
	if !h.KeepAlive() || h.Remaining() > limit || s.conn.peerGone() {
		s.finish(ReasonUnread)
		return
	}
	if h.Done() {
		s.finish("")
		return
	}
	h.Bound(s.core.settings.drainTimeout(), errDrainTimeout)
	if left := s.drainArrived(limit); left > 0 && !h.Done() {
		go s.drainRest(left)
		return
	}
	s.drained()
}

// drainArrived reads what is here, and returns how many bytes may still be read, 0 if reading is over.
func (s *stream) drainArrived(left int64) int64 {
	if s.conn.readsBeneath() {
		s.conn.sock().withoutWaiting(func() { left = s.drainSome(left, nil) })
		return left
	}
	return s.drainSome(left, func() bool { return s.conn.h.Buffered() > 0 })
}

// drainRest is the goroutine of a drain that has to wait; DrainTimeout ends it.
func (s *stream) drainRest(left int64) {
	s.drainSome(left, nil)
	s.drained()
}

// drainSome reads while more says so, if it is not nil, until the end of the body or left bytes are read. It returns
// how many may still be read, 0 if reading is over.
func (s *stream) drainSome(left int64, more func() bool) int64 {
	buf := copyBuffers.Get().(*copyBuffer)
	defer copyBuffers.Put(buf)
	before := left
	defer func() {
		s.core.ledger.changeOf(s.conn.account, func(t *tally) { t.drained += before - left })
	}()
	for left > 0 && (more == nil || more()) {
		n, err := s.conn.h.ReadBody(buf[:min(left, int64(len(buf)))])
		left -= int64(n)
		switch {
		case err == http1.ErrWouldBlock:
			return left
		case err != nil:
			return 0
		}
	}
	return left
}

// drained ends the lease after a drain.
func (s *stream) drained() {
	s.conn.h.Unbound()
	if s.conn.h.Done() {
		s.finish("")
	} else {
		s.finish(ReasonUnread)
	}
}
