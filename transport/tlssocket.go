package transport

import (
	"errors"
	"sync/atomic"

	"github.com/watertight-go/watertight/internal/http1"
	"github.com/watertight-go/watertight/reaper"
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

// readAhead tells what crypto/tls has read behind the last response, as look does.
func (hc *http1Conn) readAhead(s *tlsSocket) error {
	s.blind = true
	defer func() { s.blind = false }()
	return hc.checkArrived()
}

// foundByLook is what a Sender says of what checkArrived found.
func foundByLook(err error) (wrote, n int, _ error) {
	if errors.Is(err, reaper.ErrUnexpectedData) {
		return 0, 1, nil
	}
	return 0, 0, err
}
