//go:build unix && !aix

package reaper

import (
	"errors"
	"fmt"
	"syscall"
)

const canPeek = true

// peek looks at the first byte that lies in the socket.
func peek(fd uintptr, buf []byte) error {
	for {
		n, _, err := syscall.Recvfrom(int(fd), buf, syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		switch err {
		case nil:
			if n > 0 {
				return ErrUnexpectedData
			}
			return ErrHangup
		case syscall.EAGAIN:
			return nil
		case syscall.EINTR:
			continue
		case syscall.ECONNRESET:
			return ErrReset
		case syscall.ENOTSOCK:
			return fmt.Errorf("reaper: not a socket: %w", errors.ErrUnsupported)
		}
		return fmt.Errorf("%w: %w", ErrReset, err)
	}
}
