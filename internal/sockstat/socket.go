package sockstat

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
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

// normal makes one of the kernel's two kinds of SYN_RECV.
func normal(s State) State {
	if s == newSynReceived {
		return SynReceived
	}
	return s
}

// A Socket is one TCP socket as the kernel tells of it.
type Socket struct {
	State         State
	Local, Remote netip.AddrPort // IPv4 addresses are unmapped
	Unread        uint32         // bytes received that the process has not read; for LISTEN connections it has not accepted
	Inode         uint64         // 0 where no process owns it any more, as in TIME_WAIT
	UID           uint32         // the user who owns it; 0 in TIME_WAIT
}

// A Filter selects sockets by every field that is not zero. The zero Filter selects all.
type Filter struct {
	LocalPort, RemotePort uint16
	States                []State // in one of these; empty: in any
	PID                   int     // open in this process; in TIME_WAIT a socket belongs to none
}

func (f Filter) match(s Socket) bool {
	return (f.LocalPort == 0 || s.Local.Port() == f.LocalPort) &&
		(f.RemotePort == 0 || s.Remote.Port() == f.RemotePort) &&
		(len(f.States) == 0 || slices.Contains(f.States, s.State))
}

// Counts says how many sockets are in each state.
type Counts map[State]int

// Count counts sockets by state.
func Count(sockets []Socket) Counts {
	n := Counts{}
	for _, s := range sockets {
		n[s.State]++
	}
	return n
}

// String lists the counts in the order of the states' numbers, such as "ESTABLISHED 2, CLOSE_WAIT 1"; "none" if there are none.
func (c Counts) String() string {
	var b strings.Builder
	for s := range State(len(stateNames)) {
		if n := c[s]; n != 0 {
			if b.Len() > 0 {
				b.WriteString(", ")
			}
			fmt.Fprintf(&b, "%v %d", s, n)
		}
	}
	if b.Len() == 0 {
		return "none"
	}
	return b.String()
}

func unmapped(addr netip.Addr, port uint16) netip.AddrPort {
	return netip.AddrPortFrom(addr.Unmap(), port)
}
