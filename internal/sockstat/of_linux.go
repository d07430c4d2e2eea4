package sockstat

import (
	"encoding/binary"
	"fmt"
	"os"
	"syscall"
)

// Of returns the state of a connection's own socket, whatever namespace it is in. A closed connection is an error.
func Of(conn syscall.Conn) (State, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, fmt.Errorf("sockstat: %w", err)
	}
	var info int
	var infoErr error
	err = raw.Control(func(fd uintptr) {
		// The kernel fills as much of struct tcp_info as there is room for: here an int, whose first byte is the state.
		info, infoErr = syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_INFO)
	})
	if err == nil {
		err = os.NewSyscallError("getsockopt", infoErr)
	}
	if err != nil {
		return 0, fmt.Errorf("sockstat: %w", err)
	}
	return normal(State(binary.NativeEndian.AppendUint32(nil, uint32(info))[0])), nil
}
