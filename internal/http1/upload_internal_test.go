package http1

import (
	"io"
	"net"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
)

// Of a connection that failed under a Write and a Read one of them says why, and the other that it is gone.
func TestWhatTellsMore(t *testing.T) {
	failed := func(op string, errno syscall.Errno) error { return &net.OpError{Op: op, Err: errno} }
	timedOut, broken := failed("read", syscall.ETIMEDOUT), failed("write", syscall.EPIPE)
	assert.Equal(t, timedOut, tellsMore(broken, timedOut))
	assert.Equal(t, broken, tellsMore(broken, io.EOF))
	assert.Equal(t, broken, tellsMore(broken, failed("read", syscall.EPIPE)))
	reset := failed("write", syscall.ECONNRESET)
	assert.Equal(t, reset, tellsMore(reset, timedOut))
}
