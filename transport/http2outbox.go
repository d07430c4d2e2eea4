package transport

import (
	"encoding/binary"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/watertight-go/watertight/internal/http1"
)

// HTTP/2 writes frame by frame, each in a goroutine of its own, young and with a small stack that what encrypts makes grow; and each
// costs a system call and a record of TLS. So small frames are put into an outbox, which a goroutine of the connection empties: what
// has come together goes out in one piece, in the order in which HTTP/2 wrote it.
//
//	frame                                     goes out
//	head of a request                         soon; that of a large upload once its stream is claimed, by who writes the body
//	last DATA of a small upload               soon
//	WINDOW_UPDATE of the connection           with the next that goes out, where nobody waits for it
//	that of a stream whose end was read       not at all: nobody will send anything there
//	everything else                           at once, behind what is in the outbox
//
// Nobody waits for an update of the connection's window as long as that has room for all that the open streams may bring: their own
// windows end first. Whatever changes that is written as well, and takes the update along: one more head, or an update of a stream.

// An http2Outbox has what a wire is to write. The wire's mu guards it where nothing else is said.
type http2Outbox struct {
	open bool          // it is used; set before anything is written
	wake chan struct{} // has one element: there is something that is to go out soon
	quit chan struct{} // closed with the wire

	buf    *http1.Buffer // nil: no frames are there
	joint  []byte        // the buffer's bytes: room for an update, and the frames
	end    int           // where they end
	update uint32        // how much of the connection's window the server has not been told of

	direct atomic.Int64 // until then everything goes out at once, by the core's clock; 0: it does not

	sends   atomic.Uint64 // how often somebody has written
	writing chan struct{} // full while somebody writes, or the order would be lost. It is no mutex: in a test's bubble, time passes during a Write

	// Windows for what the server sends: the connection's, with what it has not been told of, and that of a new stream. That is owned by
	// who writes for HTTP/2.
	window    atomic.Int64
	perStream int64
}

const (
	firstWindow = 1<<16 - 1 // of a connection and of a stream (RFC 9113 section 6.9.2)
	spareWindow = 64 << 10  // of the connection's, for what is on its way on streams that were reset
	updateSize  = frameHeadLen + updateLen
)

// init sets what holds until SETTINGS say otherwise.
func (o *http2Outbox) init() {
	o.wake, o.quit, o.writing = make(chan struct{}, 1), make(chan struct{}), make(chan struct{}, 1)
	o.perStream = firstWindow
	o.window.Store(firstWindow)
}

// openOutbox begins to use the outbox, before anything is written.
func (w *http2Wire) openOutbox() {
	w.outbox.open = true
	go w.empty()
}

// isFrame reports whether p is one frame, whole, of that kind.
func isFrame(p []byte, kind byte) bool {
	return len(p) >= frameHeadLen && p[3] == kind && frameHeadLen+frameSize(p) == len(p)
}

// withholds reports whether p, which begins a frame, is nothing but updates for which nobody waits. It notes them then.
func (w *http2Wire) withholds(p []byte) bool {
	o := &w.outbox
	if !o.open || len(p)%updateSize != 0 {
		return false
	}
	for q := p; len(q) > 0; q = q[updateSize:] {
		if !isFrame(q[:updateSize], frameWindowUpdate) {
			return false
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	var more uint32
	for q := p; len(q) > 0; q = q[updateSize:] {
		if id := binary.BigEndian.Uint32(q[5:]); id == 0 {
			more += binary.BigEndian.Uint32(q[frameHeadLen:])
		} else if s := w.streamLocked(id); s != nil && !s.ended {
			return false
		}
	}
	streams := int64(len(w.streams)) + 1 // with one that nobody has claimed
	if o.window.Load()-int64(o.update) < streams*o.perStream+spareWindow {
		return false
	}
	o.update += more
	o.window.Add(int64(more))
	return true
}

// takes reports whether p, which begins a frame and has been looked at, goes out later, and puts it into the outbox if so. A head
// stays there until its stream is claimed.
func (w *http2Wire) takes(p []byte, isHead bool) bool {
	o := &w.outbox
	switch {
	case !o.open || w.lost.Load() || w.hurries() || len(w.written) > 0: // the end of a stream may be the connection's
		return false
	case isHead && isFrame(p, frameHeaders) && p[4]&flagEndHeaders != 0:
	case isFrame(p, frameData) && p[4]&flagEndStream != 0:
	default:
		return false
	}
	w.mu.Lock()
	took := o.addLocked(&w.conn.core.http2.buffers, p)
	w.mu.Unlock()
	if took && !isHead {
		o.call()
	}
	return took
}

// addLocked puts p into the outbox, if there is room.
func (o *http2Outbox) addLocked(from *http1.BufferPool, p []byte) bool {
	if o.buf == nil {
		if updateSize+len(p) > from.Len() {
			return false
		}
		o.buf, o.joint = from.Lend()
		o.end = updateSize
	}
	if len(p) > len(o.joint)-o.end {
		return false
	}
	o.end += copy(o.joint[o.end:], p)
	return true
}

// takeLocked empties the outbox. What it returns is in buf, nil if there was nothing.
func (o *http2Outbox) takeLocked() (frames []byte, buf *http1.Buffer) {
	if o.buf == nil {
		return nil, nil
	}
	first := updateSize
	if o.update > 0 {
		first = 0
		clear(o.joint[:updateSize])
		o.joint[2], o.joint[3] = updateLen, frameWindowUpdate
		binary.BigEndian.PutUint32(o.joint[frameHeadLen:], o.update)
	}
	frames, buf = o.joint[first:o.end], o.buf
	o.buf, o.joint, o.update = nil, nil, 0
	return frames, buf
}

// call has the outbox emptied.
func (o *http2Outbox) call() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// briefWait is how long the outbox may wait for others who are about to write. If it was longer, some goroutine has computed for most of
// the time that Go gives to each, and others will: everything goes out at once then, for twenty times as long.
const briefWait = 5 * time.Millisecond

// empty is the goroutine that empties the outbox. It lives as long as the wire.
func (w *http2Wire) empty() {
	o, c := &w.outbox, w.conn.core
	for {
		select {
		case <-o.wake:
		case <-o.quit:
			return
		}
		if w.conn.exchanges.Load() > 1 && o.direct.Load() == 0 {
			began := c.clock()
			runtime.Gosched() // whoever was woken with this one has a request to write, or soon will
			if waited := c.clock() - began; waited > briefWait {
				o.direct.Store(int64(began + 20*waited))
			}
		}
		w.mu.Lock()
		taken := o.buf == nil // along with something else, which may still be on its way
		w.mu.Unlock()
		if taken {
			continue
		}
		if !w.sendOwn() {
			return
		}
	}
}

// sendOwn writes what is in the outbox. It reports false if that failed: HTTP/2 thinks that it is written.
func (w *http2Wire) sendOwn() bool {
	_, err := w.send(nil)
	if err != nil && !w.closed.Load() {
		go w.fail(err) // x/net may hold a lock of the connection
	}
	return err == nil
}

// hurries reports whether everything goes out at once.
func (w *http2Wire) hurries() bool {
	until := w.outbox.direct.Load()
	if until == 0 {
		return false
	}
	if int64(w.conn.core.clock()) < until {
		return true
	}
	w.outbox.direct.Store(0)
	return false
}

// send writes what is in the outbox, and p behind it. It returns how much of p was written.
func (w *http2Wire) send(p []byte) (int, error) {
	o := &w.outbox
	o.writing <- struct{}{}
	w.mu.Lock()
	if o.update > 0 && o.buf == nil && len(p) > 0 {
		o.addLocked(&w.conn.core.http2.buffers, nil)
	}
	frames, buf := o.takeLocked()
	w.mu.Unlock()
	n, err := w.writeBoth(frames, p, buf)
	o.sends.Add(1)
	<-o.writing
	if err != nil {
		return w.notWritten(n, len(p), err)
	}
	return n, nil
}

// writeBoth writes frames, which are in buf, and p, in one piece if it is small.
func (w *http2Wire) writeBoth(frames, p []byte, buf *http1.Buffer) (n int, err error) {
	if buf == nil {
		if len(p) == 0 {
			return 0, nil
		}
		return w.Conn.Write(p)
	}
	defer buf.Free()
	first, rest := frames, p
	if len(p) <= cap(frames)-len(frames) {
		first, rest = append(frames, p...), nil
	}
	if n, err = w.Conn.Write(first); err != nil {
		w.neverSent(frames, n)
		return max(n-len(frames), 0), err
	}
	if rest != nil {
		return w.Conn.Write(rest)
	}
	return len(p), nil
}

// neverSent notes the streams whose heads are in frames, of which so many bytes were written before a Write failed.
func (w *http2Wire) neverSent(frames []byte, written int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for at := 0; at < len(frames); at += frameHeadLen + frameSize(frames[at:]) {
		if frames[at+3] != frameHeaders || at < written {
			continue
		}
		if s := w.streamLocked(binary.BigEndian.Uint32(frames[at+5:])); s != nil {
			s.unsent = true
		}
	}
}
