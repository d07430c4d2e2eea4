package transport

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/watertight-go/watertight/internal/http1"
)

// An http2Wire lies between HTTP/2 and the connection on which it is spoken, and reads along in both directions: which streams
// there are, which have ended, what the server's SETTINGS and its GOAWAY say. So a lease lasts exactly as long as its stream,
// however long the caller keeps the response's body; and of a request that failed it is known whether the server saw it.
//
//	stream     by                                       its lease
//	begins     HEADERS of ours                          is the stream's
//	ends       END_STREAM of both, or RST_STREAM        released
//	           the connection's end                     released; the connection is retired
//
// What was read counts once HTTP/2 has acted on it, which it has when it reads on: a connection that is closed at the end of its
// last stream must not cut that off.
type http2Wire struct {
	net.Conn
	conn *http2Conn

	// Owned by who reads, and by who writes: there is one of each at a time.
	in, out frameReader
	due     []uint32 // streams, ended by what was read last
	endHead uint32   // the stream whose HEADERS end it, and go on in CONTINUATIONs; 0: none
	changed bool     // what was read last may make room for more streams
	raised  bool     // and for some that are in the codec's hands, which does not see it
	allowed bool     // the server said how many streams it allows
	strange int      // frames since the last response that mean nothing
	ahead   int      // bytes looked at, and not written: they come again
	written []uint32 // streams, ended by what is being written
	outbox  http2Outbox

	unheard   atomic.Bool           // the server has hung up: what is written goes nowhere
	lost      atomic.Bool           // it carries no more requests, as a Read or a Write failed
	hungUp    atomic.Bool           // as the server ended it: the reaper may say so later, or never, as it is closed by then
	cause     atomic.Pointer[error] // why it was closed at this end; nil: no reason
	failure   atomic.Pointer[error] // what a Read or a Write failed of first, other than that it is closed; nil: none did
	closed    atomic.Bool
	lastFrame atomic.Int64  // when a frame was read to its end, by the core's clock
	limit     atomic.Uint32 // how many streams the server allows at once
	shut      atomic.Bool   // none any more
	spoken    atomic.Bool   // the server's first SETTINGS were read

	mu      sync.Mutex // guards the fields below, and http2Streams
	streams map[uint32]*http2Stream
	latest  *http2Stream // of these, that which was claimed last; nil once that has ended
	newest  uint32       // stream; 0: none yet
	fresh   http2Stream  // whose head was written last, and that nobody has claimed; not among streams
	goAway  *goAway      // the first that was read; nil: none
	heads   int64        // of requests, that were written
	answers uint64       // HEADERS that were read of streams that had not ended
	eaten   int64        // of the connection's window, by streams that were lost
	whole   int64        // that window; set before the first stream
	over    bool         // closed: no stream begins any more
}

// defaultStreamLimit is how many streams are open at once when the server says nothing of it: as many as x/net allows.
const defaultStreamLimit = 1000

// newHTTP2Wire makes a wire that may be lent limit times until the server has said how many streams it allows.
func newHTTP2Wire(hc *http2Conn, nc net.Conn, limit uint32) *http2Wire {
	w := &http2Wire{Conn: nc, conn: hc, streams: map[uint32]*http2Stream{}}
	w.out.skip = prefaceLen
	w.limit.Store(limit)
	w.outbox.init()
	w.lastFrame.Store(int64(hc.core.clock()))
	return w
}

// Read is for HTTP/2. When it is called, what it returned before has been acted on.
func (w *http2Wire) Read(p []byte) (int, error) {
	w.act()
	n, err := w.Conn.Read(p)
	if n > 0 {
		whole := false
		for f, rest, ok := w.in.next(p[:n]); ok; f, rest, ok = w.in.next(rest) {
			whole = whole || !f.setting
			w.read(f)
		}
		if whole {
			w.lastFrame.Store(int64(w.conn.core.clock()))
		}
	}
	if err != nil {
		err = w.broke(err)
		w.failedOf(w.cut(err))
		w.lost.Store(true)
	}
	return n, err
}

// broke returns why a Read or a Write failed. It is to be noted before lost is set: whoever sees that asks for it.
func (w *http2Wire) broke(err error) error {
	if endedByPeer(err) {
		w.hungUp.Store(true)
	}
	if cause := w.cause.Load(); cause != nil {
		return *cause
	}
	var op *net.OpError
	if errors.As(err, &op) { // of which TLS makes another where it is a Write's
		return op
	}
	return err
}

// act does what follows from what was read.
func (w *http2Wire) act() {
	if len(w.due) > 0 {
		for _, id := range w.due {
			w.actedOn(id)
		}
		w.due = w.due[:0]
	}
	if w.changed {
		w.changed = false
		w.conn.settle()
		w.conn.core.pool.Wake(w.conn)
	}
	if w.raised {
		w.raised = false
		go w.conn.nudge()
	}
}

// read notes a frame of the server's.
func (w *http2Wire) read(f frame) {
	switch f.kind {
	case frameData:
		w.outbox.window.Add(-int64(w.in.size))
		w.readStream(f)
	case frameHeaders, frameReset, frameContinuation:
		w.readStream(f)
	case frameSettings:
		w.readSettings(f)
	case frameGoAway:
		w.readGoAway()
	case framePriority:
		w.readStrange()
	default:
		if f.kind > frameContinuation {
			w.readStrange()
		}
	}
}

// maxStrange is how many frames that mean nothing to a client may come between two responses. The codec writes a line to the log for each.
const maxStrange = 1000

var errStrange = http1.NewError(fmt.Sprintf("the server sent more than %d frames that mean nothing to a client", maxStrange), false)

func (w *http2Wire) readStrange() {
	if w.strange++; w.strange > maxStrange {
		w.conn.retire(ReasonFailed)
		w.fail(errStrange)
	}
}

func (w *http2Wire) readStream(f frame) {
	ends := f.flags&flagEndStream != 0
	switch f.kind {
	case frameHeaders:
		if ends && f.flags&flagEndHeaders == 0 {
			w.endHead, ends = f.stream, false
		}
	case frameContinuation:
		if w.endHead != f.stream || f.flags&flagEndHeaders == 0 {
			return
		}
		w.endHead, ends = 0, true
	}
	w.mu.Lock()
	s := w.streamLocked(f.stream)
	if s != nil {
		switch s.heard = true; f.kind {
		case frameHeaders:
			w.answers++
			w.strange = 0
			s.large = s.large || w.in.size > http1.MaxFields || f.flags&flagEndHeaders == 0
		case frameData:
			s.got += uint32(w.in.size)
		}
		s.sent = s.sent || f.kind == frameReset // or will not be
		ends = ends || f.kind == frameReset
		s.ended = s.ended || ends
	}
	w.mu.Unlock()
	if s != nil && ends {
		w.due = append(w.due, f.stream)
	}
}

func (w *http2Wire) readSettings(f frame) {
	switch {
	case f.setting:
		if binary.BigEndian.Uint16(w.in.part[:]) == settingMaxStreams {
			limit := binary.BigEndian.Uint32(w.in.part[2:])
			before := w.limit.Swap(limit)
			w.raised = w.raised || limit > before && w.conn.exchanges.Load() > int64(before)
			w.shut.Store(limit == 0 && w.allowed)
			w.allowed = true
		}
	case f.flags == 0:
		if !w.allowed {
			w.allowed = true
			w.limit.Store(defaultStreamLimit)
		}
		w.changed = true
		w.spoken.Store(true)
	}
}

// Write is for HTTP/2. It keeps its stack frame small: a stream's goroutine begins with a small stack, and encryption beneath needs a deep
// one, so that with a bigger frame the stack would be copied for each request.
func (w *http2Wire) Write(p []byte) (int, error) {
	begins := len(p) >= frameHeadLen && w.out.have == 0 && w.out.skip == 0 && w.ahead == 0
	if begins && w.withholds(p) {
		return len(p), nil
	}
	newest := w.newest
	if begins && w.lost.Load() && !w.unheard.Load() && p[3] == frameHeaders && binary.BigEndian.Uint32(p[5:]) > newest {
		return 0, w.broke(net.ErrClosed) // nobody would answer: so it is known that it was not sent
	}
	w.lookAt(p)
	if begins && w.takes(p, w.newest != newest) {
		w.ahead = 0
		return len(p), nil
	}
	n, err := w.send(p)
	w.ahead -= n
	if len(w.written) > 0 {
		w.endWritten()
	}
	return n, err
}

// lookAt notes the frames in what is about to be written.
func (w *http2Wire) lookAt(p []byte) {
	for f, rest, ok := w.out.next(p[min(w.ahead, len(p)):]); ok; f, rest, ok = w.out.next(rest) {
		if w.wrote(f) {
			w.written = append(w.written, f.stream)
		}
	}
	w.ahead = max(w.ahead, len(p))
}

// restWait bounds the reading of what a server sent before it hung up.
const restWait = 5 * time.Second

// notWritten notes that a Write of so many bytes failed after n, and returns what HTTP/2 is told of it. If the server has hung up, HTTP/2 is
// told that all was written: otherwise the codec would close the connection, and lose what the server sent before that, which is here.
// Reading comes to the end, and then those whose requests were not heard are told.
func (w *http2Wire) notWritten(n, all int, err error) (int, error) {
	if n > 0 && errors.Is(err, os.ErrDeadlineExceeded) {
		return n, err // it goes on: WriteByteTimeout is that of a byte
	}
	err = w.broke(http1.UnexpectedEOF(err))
	said, readOn := w.failure.Load(), endedByPeer(err) && !w.closed.Load() && w.conn.known.Load()
	first := false
	if readOn {
		first = !w.unheard.Swap(true)
	} else {
		w.failedOf(err)
	}
	w.lost.Store(true)
	switch {
	case said != nil && errors.Is(err, net.ErrClosed):
		return n, *said // the codec closes the connection then, and gives what either says to those who read a body
	case !readOn:
		return n, err
	}
	if first {
		w.conn.retire(ReasonPeerClosed)
		time.AfterFunc(restWait, func() { w.fail(err) })
	}
	return all, nil
}

// maxEaten is the part of the connection's window that may be lost: one in so many bytes. All the others would wait for ever if all of it were.
const maxEaten = 4

// unlockSpent frees mu, and lets the connection carry no more requests if too much of its window is lost.
func (w *http2Wire) unlockSpent() {
	spent := w.eaten > w.whole/maxEaten
	w.mu.Unlock()
	if spent {
		w.conn.retire(ReasonFailed)
	}
}

// endWritten ends the streams whose end was written.
func (w *http2Wire) endWritten() {
	for _, id := range w.written {
		w.mu.Lock()
		x := w.endLocked(w.streamLocked(id))
		w.unlockSpent()
		x.end()
	}
	w.written = w.written[:0]
}

// fail closes the connection for a reason that its streams are told.
func (w *http2Wire) fail(err error) {
	err = http1.UnexpectedEOF(err) // or who reads a response would take it for whole
	w.cause.CompareAndSwap(nil, &err)
	_ = w.Close()
}

// Close closes the connection, once, and ends the leases of its streams.
func (w *http2Wire) Close() error {
	if w.closed.Swap(true) {
		return net.ErrClosed
	}
	close(w.outbox.quit)
	why := ReasonPeerClosed
	if !w.lost.Swap(true) {
		why = ReasonFailed // the codec found something wrong, which its requests are told
	}
	w.conn.retire(why) // before the end, which may take its time: it is lent no more
	if sock := socketBeneath(w.Conn); sock != nil {
		sock.leave(w.conn.peerGone())
	}
	err := w.Conn.Close()
	w.conn.settle()
	w.mu.Lock()
	w.over, w.fresh.over = true, true // and who claims that ends it
	var carried []*http2Exchange
	for _, s := range w.streams {
		carried = append(carried, w.endLocked(s))
	}
	w.mu.Unlock()
	for _, x := range carried {
		x.end()
	}
	return err
}

// carried returns the exchanges that have streams, with their bodies, nil where there is none yet.
func (w *http2Wire) carried() map[*http2Exchange]*http2Body {
	w.mu.Lock()
	defer w.mu.Unlock()
	carried := make(map[*http2Exchange]*http2Body, len(w.streams))
	for _, s := range w.streams {
		if s.exchange != nil {
			carried[s.exchange] = s.exchange.body
		}
	}
	return carried
}

// silentFor returns how long no frame came: a server that says one byte after the other, and nothing with them, is as good as silent.
func (w *http2Wire) silentFor() time.Duration {
	return w.conn.core.clock() - time.Duration(w.lastFrame.Load())
}
