package reaper

import (
	"errors"
	"fmt"
	"net"
	"syscall"
)

// maxWrappers bounds the walk through connections that wrap each other, lest one that wraps itself never ends.
const maxWrappers = 32

var errNoDescriptor = fmt.Errorf("reaper: connection without a descriptor: %w", errors.ErrUnsupported)

// rawConn returns the descriptor beneath conn, looking through wrappers that tell what they wrap, as tls.Conn does.
func rawConn(conn net.Conn) (syscall.RawConn, error) {
	for range maxWrappers {
		if sc, ok := conn.(syscall.Conn); ok {
			raw, err := sc.SyscallConn()
			if err != nil {
				return nil, fmt.Errorf("reaper: descriptor: %w", err)
			}
			return raw, nil
		}
		wrapper, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		conn = wrapper.NetConn()
	}
	return nil, errNoDescriptor
}

// control runs f on the descriptor of raw, which is neither closed nor used again before f returns. Unlike raw.Read it
// neither waits for a Read in progress nor minds a deadline.
func control(raw syscall.RawConn, f func(fd uintptr) error) error {
	err := errNoDescriptor // of a wrapper that does not call
	if cerr := raw.Control(func(fd uintptr) { err = f(fd) }); cerr != nil {
		return cerr
	}
	return err
}
