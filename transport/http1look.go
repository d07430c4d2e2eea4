package transport

import (
	"crypto/tls"
	"errors"
	"io"
	"os"
	"syscall"
	"time"

	"github.com/watertight-go/watertight/internal/http1"
	"github.com/watertight-go/watertight/pool"
	"github.com/watertight-go/watertight/reaper"
)

// check looks at a connection that was idle: no byte that reached our kernel by now is ever taken for a response.
func (hc *http1Conn) check(looksLater bool) (pool.Reason, bool) {
	if hc.peerGone() {
		return ReasonPeerClosed, false
	}
	if hc.account.core.outlived(hc.idleSince.Load()) {
		return pool.IdleTimeout, false
	}
	if looksLater {
		return "", true
	}
	if err := hc.look(); err != nil {
		return reasonFor(err), false
	}
	return "", true
}

// looksLater reports whether an attempt looks at the connection that it has leased in the moment in which it writes its request. That
// costs less than a look before, and leaves the peer no time between the two.
func (a *attempt) looksLater(on conn) bool {
	hc, ok := on.(*http1Conn)
	if !ok || !canReadNow || !a.plain {
		return false
	}
	return hc.readsBeneath() && !hc.h.Listens()
}

// look tells what has arrived, or that the peer has ended, nil if nothing.
func (hc *http1Conn) look() error {
	heard, err := hc.h.Claim()
	switch {
	case heard:
		return whatWasHeard(err)
	case hc.h.Listens():
		return nil
	case hc.readsBeneath(), hc.sock().hasUnread(): // a Read that was ended may not have come to what there is
		return hc.checkArrived()
	}
	return nil
}

// reasonFor translates what the reaper says of a connection.
func reasonFor(err error) pool.Reason {
	switch {
	case errors.Is(err, reaper.ErrUnexpectedData), errors.Is(err, http1.ErrUnasked):
		return ReasonUnsolicited
	case errors.Is(err, reaper.ErrReset), http1.IsReset(err):
		return ReasonPeerReset
	}
	return ReasonPeerClosed
}

// checkArrived reads what has arrived, without waiting: session tickets and key updates are TLS's own and fine; data, the
// peer's close_notify and its end are the end of the connection. What crypto/tls has read ahead is seen as well.
func (hc *http1Conn) checkArrived() (err error) {
	sock := hc.sock()
	sock.nowait = true
	_, err = hc.wire().Read(hc.one[:])
	sock.nowait = false
	switch {
	case err == nil:
		return reaper.ErrUnexpectedData
	case errors.Is(err, http1.ErrWouldBlock):
		if tc, ok := hc.wire().(*tls.Conn); ok && tc.Handshake() != nil {
			return reaper.ErrUnexpectedData // a handshake anew, which cannot go on, as it was not waited for
		}
		return nil
	}
	return err
}

// takeArrived reads bytes of the response that are here already, but never waits for any. It reports whether there
// were any.
func (hc *http1Conn) takeArrived() (any bool) {
	if hc.readsBeneath() {
		hc.sock().withoutWaiting(func() { any = hc.h.Fill() })
	}
	return any
}

// Arrived tells whether anything of the response that is awaited has arrived.
func (hc *http1Conn) Arrived() (any bool) {
	if hc.h.Listens() {
		return hc.h.HeardLate()
	}
	hc.sock().withoutWaiting(func() { any = hc.h.FillHead() })
	if !hc.readsBeneath() {
		_ = hc.h.SetReadDeadline(time.Time{}) // as readSoon leaves it, unless the exchange was aborted meanwhile
	}
	return any
}

// errSpokeFirst is about a server of another protocol, in most cases.
var errSpokeFirst = errors.New("sending the request: the server sent bytes before the request: is it an HTTP server?")

// firstTake bounds what is taken off a connection just dialed: more than a server says before it hangs up.
const firstTake = 4 << 10

// firstLook refuses a connection just dialed on which bytes are there already: whatever they are, they do not answer the request. One
// that was reset is refused as well; any other end shows itself to the exchange.
func (hc *http1Conn) firstLook(a *attempt) (pool.Reason, error) {
	if a.reused {
		return "", nil
	}
	if hc.readsBeneath() && !hc.h.Listens() { // who listens has a Read in progress
		hc.sock().keep(firstTake)
	}
	err := hc.look()
	switch why := reasonFor(err); {
	case err == nil:
	case why == ReasonUnsolicited:
		return why, newExchangeError(a.req.Method, a.req.URL, hc.wire(), errSpokeFirst)
	case why == ReasonPeerReset:
		a.failure = http1.FailedWriting
		return why, err
	}
	return "", nil
}

// lastWord returns what an exchange would have been told on a connection that ended before anybody had it, and is being closed.
func (hc *http1Conn) lastWord(a *attempt, why pool.Reason) error {
	if heard, err := hc.h.Claim(); heard && err != nil {
		return err
	}
	sock := hc.sock()
	switch {
	case sock.ended():
		err := hc.checkArrived()
		if err == reaper.ErrUnexpectedData {
			err = newExchangeError(a.req.Method, a.req.URL, hc.wire(), errSpokeFirst)
		}
		return err
	case why == ReasonPeerReset:
		return sock.named(os.NewSyscallError("read", syscall.ECONNRESET))
	}
	return io.EOF
}

// errStale says that a look found a connection to be of no use, and that nothing was written.
var errStale = errors.New("transport: the connection was of no use any more")
