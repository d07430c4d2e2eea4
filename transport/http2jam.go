package transport

import (
	"github.com/watertight-go/watertight/internal/alarm"
	"github.com/watertight-go/watertight/internal/http1"
)

// A server may read nothing and yet send enough that no ping finds it silent. Then the reset of a request that was given up is
// never written, and its stream never ends: the connection would stay open, and lent, for as long as the network allows. So when a request
// was given up, the connection's Writes are watched: it is jammed if one takes longer than the answer to a ping may.

// progress tells how many Writes have ended, and whether one is in progress.
func (o *http2Outbox) progress() (ended uint64, writing bool) {
	return o.sends.Load(), len(o.writing) > 0
}

// gaveUp is called when nobody waits for a stream any more that may go on, or for a request that has yet to be written.
func (p *pinger) gaveUp(hc *http2Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped || p.jam != nil {
		return
	}
	ended, writing := hc.wire.outbox.progress()
	p.jam = alarm.AfterFunc(hc.core.http2.ping.wait, func() { p.look(hc, ended, writing) })
}

// look is the timer's function: so many Writes had ended when it was set, and one was in progress or not. A connection that is jammed takes no
// more requests, and is closed unless it has some that somebody waits for.
func (p *pinger) look(hc *http2Conn, ended uint64, writing bool) {
	p.mu.Lock()
	p.jam = nil
	p.mu.Unlock()
	switch now, goesOn := hc.wire.outbox.progress(); {
	case !goesOn:
	case !writing || now != ended:
		p.gaveUp(hc)
	case hc.isAwaited():
		hc.retire(ReasonSilent)
		p.gaveUp(hc) // what is awaited may come, and then nobody would look again
	default:
		hc.retire(ReasonSilent)
		hc.wire.fail(errJammed)
	}
}

// errJammed is the end of a connection on which nobody waits for anything.
var errJammed = http1.NewError("the server does not read what is written", true)

// isAwaited reports whether somebody waits for one of the requests.
func (hc *http2Conn) isAwaited() bool {
	w := hc.wire
	w.mu.Lock()
	defer w.mu.Unlock()
	n := hc.exchanges.Load()
	for _, s := range w.streams {
		if s.exchange != nil && (s.lost || s.left) {
			n--
		}
	}
	return n > 0
}

// giveUp notes that nobody waits for the stream any more, and the codec resets it where it goes on.
func (hc *http2Conn) giveUp(s *http2Stream) {
	w := hc.wire
	w.mu.Lock()
	s.left = true
	over := s.over
	w.mu.Unlock()
	if !over {
		hc.pinger.gaveUp(hc)
	}
}
