package transport

import (
	"sync/atomic"

	"github.com/watertight-go/watertight/internal/http1"
)

// A tlsSocket is a socket that TLS of ours speaks on. It can keep what TLS writes, so that a request is encrypted first, and sent then as one
// without TLS is: see http1Conn.Send.
type tlsSocket struct {
	*socket
	keeps atomic.Bool // what is written, but for a goodbye, which whoever closes the connection may say at any time
	// Owned by the holder of the connection's lease.
	kept  []byte
	blind bool // Read has nothing but what was taken
}

func (s *tlsSocket) Write(p []byte) (int, error) {
	if s.keeps.Load() && !s.is(leaving) {
		s.kept = append(s.kept, p...)
		return len(p), nil
	}
	return s.socket.Write(p)
}

func (s *tlsSocket) Read(p []byte) (int, error) {
	if s.blind && !s.holds() {
		return 0, http1.ErrWouldBlock
	}
	return s.socket.Read(p)
}
