package transport

import (
	"runtime"
	"sync"
	"time"
)

// ForgetCollections makes rescues as free to run the collector as in a new process.
func ForgetCollections() {
	collections.mu.Lock()
	defer collections.mu.Unlock()
	collections.last, collections.pause = time.Time{}, 0
}

// SetWallClock replaces the clock on the wall, before the first request.
func (t *Transport) SetWallClock(now func() time.Time) {
	c, _ := t.running()
	c.wall = func() int64 { return now().UnixNano() }
}

// SweepPending reports whether a timer is set that looks for forgotten bodies.
func (t *Transport) SweepPending() bool { return t.core.Load().watchman.armed.Load() }

// Hangups returns how many leased connections are known to have been hung up on.
func (t *Transport) Hangups() (n int) {
	for hc := range t.core.Load().leased() {
		if hc.peerGone() {
			n++
		}
	}
	return n
}

// OpenFirstWhenClosed has the pool know the first connection, of HTTP/2, only when it is closed. It is called before the first request.
func (t *Transport) OpenFirstWhenClosed() {
	c, _ := t.running()
	open, once := c.pool.OnOpen, sync.Once{}
	c.pool.OnOpen = func(cn conn) {
		once.Do(func() {
			for !cn.(*http2Conn).wire.closed.Load() {
				runtime.Gosched()
			}
		})
		open(cn)
	}
}

// CodecIsNetHTTP tells whose HTTP/2 codec is in use.
const CodecIsNetHTTP = codecIsNetHTTP
