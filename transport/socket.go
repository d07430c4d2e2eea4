package transport

import (
	"net"
	"syscall"

	"github.com/watertight-go/watertight/internal/http1"
)

// A socket is the connection beneath a TLS connection of ours. Its Read can be told not to wait: what has arrived is
// then decrypted, and nobody blocks for what has not, in the middle of a record as well as between two.
type socket struct {
	net.Conn
	raw syscall.RawConn // nil where the connection has no descriptor

	// Owned by the holder of the connection's lease.
	nowait bool
	now    immediateRead
}

// newSocket wraps nc, whose descriptor serves for reads that do not wait, if it has one.
func newSocket(nc net.Conn) *socket {
	s := &socket{Conn: nc}
	if sc, ok := nc.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil && canReadNow {
			s.raw = raw
			s.now.bind()
		}
	}
	return s
}

// NetConn returns the connection beneath, for those who look for its descriptor.
func (s *socket) NetConn() net.Conn { return s.Conn }

// Read reads, or says http1.ErrWouldBlock where it was told not to wait.
func (s *socket) Read(p []byte) (int, error) {
	if !s.nowait {
		return s.Conn.Read(p)
	}
	if s.raw == nil {
		return 0, http1.ErrWouldBlock
	}
	return s.now.read(s.raw, p)
}

// withoutWaiting runs f while reads do not wait.
func (s *socket) withoutWaiting(f func()) {
	s.nowait = true
	defer func() { s.nowait = false }()
	f()
}
