package reaper

import (
	"errors"
	"fmt"
	"net"
	"syscall"
)

// rawConn returns the descriptor beneath conn, looking through wrappers that tell what they wrap, as tls.Conn does.
func rawConn(conn net.Conn) (syscall.RawConn, error) {
	for conn != nil {
		if sc, ok := conn.(syscall.Conn); ok {
			return sc.SyscallConn()
		}
		wrapper, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		conn = wrapper.NetConn()
	}
	return nil, fmt.Errorf("reaper: connection without a descriptor: %w", errors.ErrUnsupported)
}
