package sockstat

import (
	"fmt"
	"net/netip"
)

// A State is the state of a TCP socket (RFC 9293 section 3.3.2), with the numbers of the Linux kernel.
type State uint8

const (
	Established State = iota + 1
	SynSent
	SynReceived
	FinWait1
	FinWait2
	TimeWait
	Closed
	CloseWait
	LastAck
	Listen
	Closing
	newSynReceived // a request socket, shown as SYN_RECV
)

var stateNames = [...]string{
	"", "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT", "CLOSE", "CLOSE_WAIT", "LAST_ACK", "LISTEN", "CLOSING", "SYN_RECV",
}

// String returns the state's name as netstat prints it.
func (s State) String() string {
	if s == 0 || int(s) >= len(stateNames) {
		return fmt.Sprintf("state %d", uint8(s))
	}
	return stateNames[s]
}

// A Socket is one TCP socket as the kernel tells of it.
type Socket struct {
	State         State
	Local, Remote netip.AddrPort // IPv4 addresses are unmapped
	Inode         uint64         // 0 where no process owns it any more, as in TIME_WAIT
}

// A Filter selects sockets. The zero Filter selects all.
type Filter struct {
	LocalPort, RemotePort uint16 // 0: any
	PID                   int    // only those that this process has open; 0: any
}

func (f Filter) match(s Socket) bool {
	return (f.LocalPort == 0 || s.Local.Port() == f.LocalPort) && (f.RemotePort == 0 || s.Remote.Port() == f.RemotePort)
}

// Count counts sockets by state.
func Count(sockets []Socket) map[State]int {
	n := map[State]int{}
	for _, s := range sockets {
		n[s.State]++
	}
	return n
}

func parseMapped(addr netip.Addr, port uint16) netip.AddrPort {
	return netip.AddrPortFrom(addr.Unmap(), port)
}
