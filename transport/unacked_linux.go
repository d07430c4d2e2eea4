package transport

import (
	"crypto/tls"
	"math"
	"net"
	"syscall"
	"time"
)

// tcpUserTimeout is TCP_USER_TIMEOUT (RFC 5482), which package syscall has no name for on every architecture.
const tcpUserTimeout = 18

// boundUnacked makes the kernel give the connection up when its peer has acknowledged nothing, or taken nothing, for so long. A
// connection for which that cannot be set is left as it is.
func boundUnacked(nc net.Conn, d time.Duration) {
	if tc, ok := nc.(*tls.Conn); ok {
		nc = tc.NetConn()
	}
	tc, ok := nc.(*net.TCPConn)
	if !ok {
		return
	}
	raw, err := tc.SyscallConn()
	if err != nil {
		return
	}
	ms := min(max(d.Milliseconds(), 1), math.MaxInt32) // 0 would be the system's default
	_ = raw.Control(func(fd uintptr) {
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(ms))
	})
}
