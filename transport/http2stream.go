package transport

import "encoding/binary"

// An http2Stream is what the wire knows of a stream. The wire's mu guards it. It is its exchange's, which has it from the moment at which
// it claims it: so a stream costs no memory of its own.
type http2Stream struct {
	id       uint32         // 0: there is none
	got      uint32         // DATA, in bytes
	before   uint64         // the wire's answers when it began
	exchange *http2Exchange // nil: nobody's, its RoundTrip gave up
	unsent   bool           // its head was not: the codec alone thinks so, as the server had hung up, or a Write failed later
	sent     bool           // END_STREAM was written
	heard    bool           // a frame of it was read
	large    bool           // a head of it has so many bytes that each might be a field too many
	ended    bool           // END_STREAM was read
	acted    bool           // and acted on
	lost     bool           // RoundTrip gave up after its head was written: what came of it HTTP/2 keeps, and gives back to no window
	left     bool           // nobody waits for what comes of it any more
	over     bool
}

// wrote notes a frame of ours, and reports whether it ends its stream.
func (w *http2Wire) wrote(f frame) bool {
	switch f.kind {
	case frameWindowUpdate:
		if f.stream == 0 {
			w.outbox.window.Add(int64(binary.BigEndian.Uint32(w.out.part[:])))
		}
	case frameSettings:
		if f.setting && binary.BigEndian.Uint16(w.out.part[:]) == settingWindow {
			w.outbox.perStream = max(firstWindow, int64(binary.BigEndian.Uint32(w.out.part[2:]))) // which the server may have yet to read
		}
	}
	if f.kind != frameHeaders && f.kind != frameReset && (f.kind != frameData || f.flags&flagEndStream == 0) {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if f.kind == frameHeaders && f.stream > w.newest && !w.over {
		w.newest, w.fresh = f.stream, http2Stream{id: f.stream, before: w.answers, unsent: w.unheard.Load()}
		w.heads++
	}
	s := w.streamLocked(f.stream)
	switch {
	case s == nil:
		return false
	case f.kind == frameReset:
		return true
	}
	s.sent = s.sent || f.flags&flagEndStream != 0
	return s.sent && s.acted
}

// streamLocked returns a stream that has not ended, nil if there is none of that number.
func (w *http2Wire) streamLocked(id uint32) *http2Stream {
	switch {
	case w.latest != nil && w.latest.id == id:
		return w.latest
	case w.fresh.id == id && id != 0 && !w.fresh.over:
		return &w.fresh
	}
	return w.streams[id]
}

// endLocked takes a stream out and returns the exchange that it carried, nil if that was done or it is nobody's.
func (w *http2Wire) endLocked(s *http2Stream) *http2Exchange {
	if s == nil || s.over {
		return nil
	}
	s.over = true
	if s.lost {
		w.eaten += int64(s.got)
	}
	delete(w.streams, s.id)
	if w.latest == s {
		w.latest = nil
	}
	return s.exchange
}

// claim makes the stream whose head was written last that of x, and has the head go out. It is called by who writes the head, before
// another is written.
func (w *http2Wire) claim(x *http2Exchange) {
	w.mu.Lock()
	fresh := w.fresh
	w.fresh = http2Stream{}
	switch {
	case fresh.id == 0: // the connection had failed, or been closed, and nothing was written: RoundTrip will fail
	case x.left: // it gave up, and its lease has ended: the stream is nobody's
		if !fresh.over {
			s := new(http2Stream)
			fresh.lost = true
			*s, w.streams[fresh.id] = fresh, s
		}
	default:
		fresh.exchange = x
		if x.stream = fresh; !fresh.over {
			w.streams[fresh.id] = &x.stream
			w.latest = &x.stream
		}
		if x.await != nil {
			close(x.await)
		}
	}
	ready := w.outbox.buf != nil
	w.mu.Unlock()
	switch {
	case !ready:
	case x.req.ContentLength > int64(x.conn.core.http2.buffers.Len()):
		w.sendOwn() // the body goes out from this goroutine as well, and would meet the one that empties the outbox
	default:
		w.outbox.call()
	}
	if fresh.over {
		fresh.exchange.end()
	}
}

// actedOn notes that HTTP/2 knows of the end that was read.
func (w *http2Wire) actedOn(id uint32) {
	w.mu.Lock()
	var x *http2Exchange
	if s := w.streamLocked(id); s != nil {
		if s.acted = true; s.sent {
			x = w.endLocked(s)
		}
	}
	w.unlockSpent()
	x.end()
}

// readToEnd notes that the response was read to its end: so HTTP/2 knows of that.
func (w *http2Wire) readToEnd(s *http2Stream) {
	w.mu.Lock()
	ended, over, x := s.ended, s.over, s.exchange
	w.mu.Unlock()
	switch {
	case over:
		x.end() // by whoever it was, before the caller goes on
	case ended:
		w.actedOn(s.id)
	}
}

// answered returns how many answers there were on the connection.
func (w *http2Wire) answered() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.answers
}
