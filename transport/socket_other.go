//go:build !unix

package transport

import (
	"syscall"

	"github.com/watertight-go/watertight/internal/http1"
)

const canReadNow = false

// An immediateRead does not exist on this system: a socket's read waits.
type immediateRead struct{}

func (*immediateRead) bind() {}

func (*immediateRead) read(syscall.RawConn, []byte) (int, error) { return 0, http1.ErrWouldBlock }
