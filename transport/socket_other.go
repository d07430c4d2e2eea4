//go:build !unix

package transport

import (
	"net"
	"syscall"

	"github.com/watertight-go/watertight/internal/http1"
)

const canReadNow = false

func (*socket) awaitInput() error { return http1.ErrWouldBlock }

func writeNow(syscall.RawConn, []byte) (int, error) { return 0, net.ErrClosed }

// readNow does not exist on this system: a socket's read waits.
func readNow(syscall.RawConn, []byte) (int, error) { return 0, http1.ErrWouldBlock }

func readEnded(syscall.RawConn, []byte) (int, error) { return 0, http1.ErrWouldBlock }
