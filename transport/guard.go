package transport

import (
	"io"
	"net/http"
	"net/http/httptrace"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/watertight-go/watertight/pool"
)

// A stream is the guard of a body that is still coming: it owns the lease and ends it, once, by whichever comes first.
//
//	end         who                       the connection
//	arrived     takeRest                  released; the body goes on in memory
//	hang-up     absorb                    discarded; the body goes on in memory
//	EOF         the caller's Read         released
//	error       the caller's Read         discarded
//	close       the caller's Close        drained, then released or discarded
//	dropped     the collector             discarded, and reported
//	cancelled   the request's context     salvaged, or discarded
//	forgotten   a sweep, or a rescue      discarded, and reported
//
// The caller holds a streamBody, which refers to the stream. Nothing that the stream is reachable from refers to the
// streamBody, or the collector could never tell that the caller dropped it.
type stream struct {
	openBody
	core  *core
	conn  *http1Conn
	lease pool.Lease[route, conn]
	trace *httptrace.ClientTrace
	// cancel is the caller's Request.Cancel: see awaitLegacyCancel.
	cancel <-chan struct{}

	closing  atomic.Bool  // Close came, or somebody who takes the body back
	reported atomic.Bool  // as a leak
	lastRead atomic.Int64 // when the last Read ended, by the core's clock
	upload   *outgoing    // of the request's body, behind the response; nil: it was sent
	writing  atomic.Int32 // WriteTos in progress, and guard
	turn     uint64       // of the exchange: Close may come after its end

	// mu is held during a Read, and else only for moments. Whoever would wait for a Read uses TryLock; that fails only
	// while somebody holds mu who sets ended, or a Read, which looks after it let go whether an end was asked for.
	mu    sync.Mutex
	src   io.Reader
	zip   *gunzip // src, if that decompresses
	ended bool    // the lease has ended or is being ended by whoever set this; or the late body has
	err   error   // what a Read after the end returns
	trail http.Header
	late  *lateBody // after the rest arrived: the lease has ended
	// awaiting is closed when awaitRest has ended; nil: it did not begin. Set before anybody else has the stream.
	awaiting chan struct{}
	halt     chan struct{} // capacity 1: awaitRest is to wait for no upload; nil where it does not
	takes    atomic.Uint32 // odd while takeRest holds mu, or is about to
	// After the peer hung up: see absorb.
	absorbed bool        // all that came is in memory; the socket was closed and the lease ended
	exceeded bool        // not all could be taken at once
	holds    int64       // bytes taken
	deferred atomic.Bool // until the end of the upload
}

// guard hands out the body of a response that is still coming.
func (c *core) guard(hc *http1Conn, a *attempt, l pool.Lease[route, conn], resp *http.Response, unzip bool) *http.Response {
	s := &stream{core: c, conn: hc, lease: l, cancel: a.req.Cancel, turn: hc.h.Turn(), upload: a.body.watch(c)}
	s.owner = s
	if a.trace != nil && a.trace.PutIdleConn != nil {
		s.trace = a.trace // and not otherwise: what its hooks refer to would be reachable from here
	}
	s.src = arriving{s}
	if unzip {
		s.zip = &gunzip{src: s.src}
		s.src = s.zip
	}
	b := &streamBody{s: s, resp: resp}
	if !c.bubble {
		b.cleanup.cleanup = runtime.AddCleanup(b, dropped, s)
	}
	s.writing.Add(1) // nobody takes it for forgotten before all this is done
	defer s.wrote()
	c.bodies.add(&s.openBody, a.req, hc.account)
	resp.Body = b
	uploaded := hc.h.Uploaded()
	if (hc.readsBeneath() || uploaded != nil) && hc.h.MayDetach() {
		s.awaiting = make(chan struct{})
	}
	if uploaded != nil {
		s.halt = make(chan struct{}, 1)
	}
	// Either the abort finds the stream here, or it is seen below.
	hc.stream.Store(s)
	if s.awaiting != nil {
		go s.awaitRest(uploaded)
	}
	switch {
	case hc.h.Aborted():
		s.aborted()
	case hc.peerGone():
		s.absorb()
	}
	return resp
}

// arriving reads the body of a stream as it comes.
type arriving struct{ s *stream }

func (b arriving) Read(p []byte) (int, error) {
	s := b.s
	if s.late != nil {
		return s.late.Read(p)
	}
	n, err := s.conn.h.ReadBody(p)
	if n == 0 && err != nil && err != io.EOF && s.outlivesReadLocked() {
		return s.conn.h.ReadBody(p)
	}
	return n, err
}

// read is the caller's Read.
func (s *stream) read(p []byte) (int, error) {
	s.mu.Lock()
	if closing := s.closing.Load(); s.ended || closing {
		err := s.err
		s.mu.Unlock()
		if err == nil || err == io.EOF && closing {
			err = http.ErrBodyReadAfterClose // also where the body had been read to its end
		}
		s.endIfAsked()
		awaitLegacyCancel(s.cancel, err)
		return 0, err
	}
	before := s.absorbed
	n, err := s.src.Read(p)
	parted := s.absorbed && !before
	s.received.Add(int64(n))
	s.lastRead.Store(int64(s.core.clock()))
	if err != nil {
		if s.late == nil {
			err = s.conn.explain(s.method, &s.url, err)
			s.trail = s.conn.h.Trailer()
		}
		s.ended, s.err = true, err
	}
	s.mu.Unlock()
	if parted {
		s.unlist()
		s.lease.Discard(ReasonCancelled)
	}
	s.core.watchBodies() // with mu free: a sweep that found it taken relies on this
	switch {
	case err == io.EOF:
		s.finish("")
	case err != nil && s.conn.h.AbortedIn(s.turn):
		s.finish(ReasonCancelled)
		awaitLegacyCancel(s.cancel, err)
	case err != nil:
		s.finish(ReasonFailed)
	default:
		s.endIfAsked()
		if s.conn.peerGone() {
			s.absorb()
		}
	}
	return n, err
}

// endIfAsked ends the lease if a Close or an abort came while a Read held mu, and left the end to it. Where the lease has
// ended, the connection may serve another exchange, and endNow does nothing.
func (s *stream) endIfAsked() {
	switch {
	case s.closing.Load():
		s.endNow(ReasonUnread, http.ErrBodyReadAfterClose)
	default:
		s.aborted()
	}
}

// close is the caller's Close. A Read in progress ends at once.
func (s *stream) close() {
	if s.closing.Swap(true) {
		return
	}
	for takes := s.takes.Load(); !s.mu.TryLock(); takes = s.takes.Load() {
		if takes%2 == 0 && s.takes.Load() == takes {
			// A Read holds mu, or whoever ends the lease. The Read sees closing after it let go.
			s.conn.h.Cancel(s.turn, http.ErrBodyReadAfterClose)
			return
		}
		runtime.Gosched() // takeRest holds it, for a moment, or did just now
	}
	first := !s.ended
	s.ended = true
	if s.err == nil {
		s.err = http.ErrBodyReadAfterClose
	}
	s.mu.Unlock()
	if first {
		s.drain()
	}
}

// endNow ends the lease unless that was done or a Read is in progress, discarding the connection. Later Reads return err; nil stands
// for why the exchange was aborted.
func (s *stream) endNow(why pool.Reason, err error) {
	if s.mu.TryLock() {
		s.endLocked(why, err)
	}
}

// endLocked is endNow for who holds mu, which it lets go. It reports whether it was the first. A body that has arrived is not cancelled
// any more.
func (s *stream) endLocked(why pool.Reason, err error) bool {
	if s.late != nil && why == ReasonCancelled {
		s.mu.Unlock()
		return false
	}
	first := !s.ended
	if first && err == nil {
		err = s.conn.h.Cause() // nobody ends the exchange under us: ended is ours to set
	}
	s.ended = true
	if s.err == nil {
		s.err = err
	}
	s.mu.Unlock()
	if first {
		s.finish(why)
	}
	return first
}

// takeTrailer returns the trailer once.
func (s *stream) takeTrailer() http.Header {
	s.mu.Lock()
	defer s.mu.Unlock()
	trail := s.trail
	s.trail = nil
	return trail
}

// finish ends the lease; why is the reason to discard the connection, "" to keep it. Only who set ended calls it.
func (s *stream) finish(why pool.Reason) {
	if s.zip != nil {
		s.zip.end()
	}
	s.core.absorbed.giveBack(s.holds)
	if s.late != nil {
		if s.awaiting != nil {
			<-s.awaiting // the connection is back before its caller goes on
		}
		s.late.free()
		return
	}
	s.unlist()
	switch {
	case s.absorbed:
		s.stopAwaiting()
		s.conn.leave(s.lease, s.trace)
	case why == "":
		s.stopAwaiting()
		s.conn.release(s.lease, s.trace)
	case why == ReasonCancelled && s.salvage():
		s.conn.putIdle(s.trace, errNotKept) // not yet
	default:
		s.stopAwaiting()
		s.conn.discard(s.lease, why, s.trace)
	}
}

// salvage keeps the connection, if that may be.
func (s *stream) salvage() bool {
	s.stopAwaiting()
	return s.conn.salvage(s.lease)
}

// aborted is called when the request was cancelled: nobody needs to read for the connection to be closed. A Read in
// progress ends by itself.
func (s *stream) aborted() {
	if !s.conn.h.AbortedIn(s.turn) || !s.mu.TryLock() { // an exchange before it, whose abort comes late, or a Read
		return
	}
	if !s.outliveUploadLocked() {
		s.endLocked(ReasonCancelled, nil)
	}
	if s.closing.Load() { // it may have found mu taken
		s.endNow(ReasonUnread, http.ErrBodyReadAfterClose)
	}
}

// dropped is the cleanup of a streamBody that the caller let go of. It does no input or output: a server that stalls
// must not stop the cleanups of the process.
func dropped(s *stream) {
	collections.found.Add(1)
	go s.reclaim(Dropped)
}

// reclaim takes the connection back from a body that leaked, and reports it. It does nothing while a Read is in progress, and
// tells whether it was the end.
func (s *stream) reclaim(cause LeakCause) bool {
	err := &ReclaimedError{
		Leak:        Leak{OpenBody: s.core.bodies.describe(&s.openBody), Cause: s.leakCause(cause)},
		Unread:      s.core.clock() - time.Duration(s.lastReadAt()),
		LeakTimeout: s.core.settings.LeakTimeout,
	}
	if cause == Dropped {
		s.mu.Lock() // nobody is left who could hold it for more than a moment
	} else if !s.mu.TryLock() {
		return false
	}
	arrived := s.late != nil
	ended := s.endLocked(ReasonLeaked, err)
	if ended && !arrived {
		s.reportAs(err.Cause) // a peer that hangs up at our own end does so now
	}
	return ended
}

// reportOnce reports a leak, in a goroutine of its own.
func (s *stream) reportOnce(cause LeakCause) { s.reportAs(s.leakCause(cause)) }

func (s *stream) reportAs(cause LeakCause) {
	if !s.reported.Swap(true) {
		go s.core.bodies.report(&s.openBody, cause)
	}
}

func (s *stream) leakCause(cause LeakCause) LeakCause {
	if s.conn.peerGone() {
		return HungUp
	}
	return cause
}
