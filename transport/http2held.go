package transport

import "time"

// A server may end a stream while a Read of its request's body is stuck, and go on whatever Close does. Until that Read returns, the codec
// counts the stream among those that the server allows, and has those wait who are one too many, for as long as that takes. So the lease of such
// a stream ends with the Read; but where that takes longer than stuckFor, the connection counts the stream as held instead, or nobody could
// close it. One that is held for the most part takes no more requests.

// leavesLater reports whether a Read of the request's body is in progress that will end the lease, or else time does. It is called when the
// stream has ended.
func (x *http2Exchange) leavesLater() bool {
	u := x.upload
	if u == nil || x.conn.wire.closed.Load() {
		return false
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.cut = true
	if !u.busy {
		return false
	}
	stuck := time.AfterFunc(stuckFor, x.hold)
	u.cutOff = func() {
		if stuck.Stop() {
			x.leaveLease()
		} else {
			x.conn.held.Add(-1)
			x.conn.core.pool.Wake(x.conn)
		}
	}
	return true
}

// hold ends the lease of an exchange whose body's Read is stuck. It may have returned by now: then it is held for a moment.
func (x *http2Exchange) hold() {
	hc := x.conn
	hc.held.Add(1)
	if hc.isMostlyHeld() {
		hc.retire(ReasonUnfinished)
	}
	x.leaveLease()
}

// isMostlyHeld reports whether a connection that has all of its streams is worth more.
func (hc *http2Conn) isMostlyHeld() bool {
	held := hc.held.Load()
	return held > 0 && 2*held > int64(hc.wire.limit.Load())
}
