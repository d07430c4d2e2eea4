package transport

import "encoding/binary"

// A goAway is the server's word that it takes no more streams (RFC 9113 section 6.8).
type goAway struct{ last, code uint32 }

// readGoAway lets the connection carry no more requests.
func (w *http2Wire) readGoAway() {
	part := w.in.part[:]
	away := goAway{binary.BigEndian.Uint32(part) &^ (1 << 31), binary.BigEndian.Uint32(part[4:])}
	w.mu.Lock()
	fell := w.goAway == nil || away.last < w.goAway.last // or it says the same again, as it closes the connection
	if w.goAway == nil {
		w.goAway = &away
	}
	w.goAway.last = min(w.goAway.last, away.last)
	last, newest := w.goAway.last, w.newest
	w.mu.Unlock()
	if fell && away.code == 0 {
		w.conn.exhausted(last, newest)
	}
	w.conn.retire(ReasonNoKeepAlive)
}

// isLeaving reports whether the server said that it takes no more streams.
func (w *http2Wire) isLeaving() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.goAway != nil
}

// unseen reports whether the server said that it did not see the stream. What it says of a connection's first stream with an error
// is about that request, or would be said of any other.
func (w *http2Wire) unseen(s http2Stream) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.goAway != nil && s.id > w.goAway.last && (s.id > 1 || w.goAway.code == 0)
}
