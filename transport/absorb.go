package transport

import "sync/atomic"

// defaultMaxAbsorbBytes bounds what is absorbed for one body, maxAbsorbTotal for all bodies of a Transport. It is granted in steps:
// where many peers hang up at once, none is refused because others might have more than they do.
const (
	defaultMaxAbsorbBytes = 1 << 20
	maxAbsorbTotal        = 64 << 20
	absorbStep            = 32 << 10
)

func (t *Transport) maxAbsorbBytes() int64 {
	if t.MaxAbsorbBytes == 0 {
		return defaultMaxAbsorbBytes
	}
	return max(t.MaxAbsorbBytes, 0)
}

// An absorption is how many bytes all bodies together hold in memory after their peer hung up.
type absorption struct{ held atomic.Int64 }

// grant reserves up to want bytes.
func (a *absorption) grant(want int64) int64 {
	for {
		held := a.held.Load()
		got := min(want, maxAbsorbTotal-held)
		if got <= 0 {
			return 0
		}
		if a.held.CompareAndSwap(held, held+got) {
			return got
		}
	}
}

func (a *absorption) giveBack(n int64) { a.held.Add(-n) }

// absorb is called when the peer hung up while the body is open: all that will ever come lies in the kernel. It moves into
// memory and the socket is closed, before the caller reads: one that never does leaves no CLOSE_WAIT. What does not fit stays
// behind, and follows as the caller makes room.
//
// The hang-up and the end of a Read each call it, so that whichever comes second finds mu free.
func (s *stream) absorb() {
	if !s.mu.TryLock() {
		return // a Read, which looks for a hang-up when it is done, or the end
	}
	defer s.endIfAsked() // by somebody who found mu taken
	if s.ended || s.absorbed || s.late != nil || !s.conn.readsBeneath() {
		s.mu.Unlock()
		return
	}
	if uploading := s.conn.h.Uploading(); uploading != nil {
		s.mu.Unlock()
		s.absorbAfter(uploading)
		return
	}
	s.takeLocked()
	whole := s.absorbed
	s.mu.Unlock()
	if whole {
		s.core.bodies.remove(&s.openBody)
		s.lease.Discard(ReasonPeerClosed)
	}
}

// takeLocked moves what it may, once there is room for something.
func (s *stream) takeLocked() {
	sock, limit := s.conn.sock(), s.core.settings.maxAbsorbBytes()
	if sock.holds() {
		return
	}
	// Those were read.
	s.core.absorbed.giveBack(s.holds)
	s.holds = 0
	s.moveLocked(sock, limit)
	s.absorbed = sock.ended()
	first := !s.absorbed && !s.exceeded
	s.exceeded = s.exceeded || first
	s.core.ledger.changeOf(s.conn.account, func(t *tally) {
		t.absorbed += s.holds
		if first {
			t.exceeded++
		}
	})
}

// takeStoppedLocked moves what it may of an exchange that was ended from our side. Nobody waits for the rest. It reports whether who looked
// for that met the end.
func (s *stream) takeStoppedLocked() (met bool) {
	if s.conn.readsBeneath() {
		s.moveLocked(s.conn.sock(), s.core.settings.maxAbsorbBytes())
		met = s.conn.h.ReadOn()
	}
	s.absorbed = true
	return met
}

func (s *stream) moveLocked(sock *socket, limit int64) {
	for s.holds < limit {
		granted := s.core.absorbed.grant(min(limit-s.holds, absorbStep))
		n := sock.take(granted)
		s.core.absorbed.giveBack(granted - n)
		s.holds += n
		if n == 0 || n < granted {
			return
		}
	}
}

// absorbAfter waits for the request's body, of which the peer may still read although it has nothing more to say.
func (s *stream) absorbAfter(uploading <-chan struct{}) {
	if s.deferred.Swap(true) {
		return
	}
	go func() {
		<-uploading
		s.absorb()
	}()
}
