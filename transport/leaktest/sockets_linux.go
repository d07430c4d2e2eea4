package leaktest

import (
	"net"
	"os"
	"syscall"

	"github.com/watertight-go/watertight/internal/sockstat"
)

// maxWrappers bounds the walk through connections that wrap each other, lest one that wraps itself never ends.
const maxWrappers = 32

// inodeOf returns what the kernel knows a connection's socket by, 0 if it has none. Numbers are not used again for a long
// time, which ports are.
func inodeOf(nc net.Conn) (inode uint64) {
	for range maxWrappers {
		outer, ok := nc.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		nc = outer.NetConn()
	}
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return 0
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return 0
	}
	var stat syscall.Stat_t
	var statErr error
	err = raw.Control(func(fd uintptr) { statErr = syscall.Fstat(int(fd), &stat) })
	if err != nil || statErr != nil {
		return 0
	}
	return stat.Ino
}

// openSockets returns the states of the process's sockets by inode; none where the kernel does not tell.
func openSockets() map[uint64]string {
	sockets, err := sockstat.List(sockstat.Filter{PID: os.Getpid()})
	if err != nil {
		return nil
	}
	states := map[uint64]string{}
	for _, s := range sockets {
		states[s.Inode] = s.State.String()
	}
	return states
}
