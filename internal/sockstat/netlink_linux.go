package sockstat

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"syscall"
)

// Of linux/sock_diag.h and linux/inet_diag.h.
const (
	netlinkSockDiag = 4
	tcpDiag         = 18   // TCPDIAG_GETSOCK: of both families in one walk through the kernel's tables, which is what takes its time
	dumpInterrupted = 0x10 // NLM_F_DUMP_INTR
	diagRequestSize = 60   // struct inet_diag_req
	diagMessageSize = 72   // struct inet_diag_msg
)

const (
	maxDumps      = 10       // tries at a dump without changes in between
	bufferSize    = 64 << 10 // the kernel fills at most 32 KiB per message
	answerSeconds = 10       // the kernel answers at once; should it not, a test must not hang
)

var errInterrupted = errors.New("sockstat: sockets changed during the dump")

// netlinkSockets asks the kernel for the TCP sockets that the filter selects, its PID aside. If the tables change during every one of
// the tries, it returns what the last one saw.
func netlinkSockets(f Filter) ([]Socket, error) {
	var all []Socket
	err := errInterrupted
	for try := 0; errors.Is(err, errInterrupted) && try < maxDumps; try++ {
		all, err = dump(f)
	}
	if err != nil && !errors.Is(err, errInterrupted) {
		return nil, fmt.Errorf("sockstat: netlink: %w", err)
	}
	return all, nil
}

// dump reads the sockets; with errInterrupted they are what was seen.
func dump(f Filter) ([]Socket, error) {
	fd, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC, netlinkSockDiag)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	defer syscall.Close(fd)
	if err := syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &syscall.Timeval{Sec: answerSeconds}); err != nil {
		return nil, os.NewSyscallError("setsockopt", err)
	}
	if err := syscall.Sendto(fd, dumpRequest(f), 0, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK}); err != nil {
		return nil, os.NewSyscallError("sendto", err)
	}
	d := reading{filter: f}
	buf := make([]byte, bufferSize)
	for !d.done {
		n, _, flags, _, err := syscall.Recvmsg(fd, buf, nil, 0)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case err != nil:
			return nil, os.NewSyscallError("recvmsg", err)
		case flags&syscall.MSG_TRUNC != 0:
			return nil, fmt.Errorf("a message of more than %d bytes", len(buf))
		}
		if err := d.add(buf[:n]); err != nil {
			return nil, err
		}
	}
	if d.changed {
		return d.sockets, errInterrupted
	}
	return d.sockets, nil
}

// A reading is the answer to a dump request so far.
type reading struct {
	filter        Filter
	sockets       []Socket
	changed, done bool
}

// add takes what one recvmsg returned.
func (d *reading) add(b []byte) error {
	messages, err := syscall.ParseNetlinkMessage(b)
	if err != nil {
		return err
	}
	for _, m := range messages {
		d.changed = d.changed || m.Header.Flags&dumpInterrupted != 0
		switch m.Header.Type {
		case syscall.NLMSG_DONE:
			d.done = true
			return netlinkError(m.Data) // 0, or why the dump ended early
		case syscall.NLMSG_ERROR:
			d.done = true
			if err := netlinkError(m.Data); err != nil {
				return err
			}
		case tcpDiag:
			if s, ok := decode(m.Data); ok && d.filter.match(s) {
				d.sockets = append(d.sockets, s)
			}
		}
	}
	return nil
}

// dumpRequest is a header and an inet_diag_req: four bytes, then ports in network order, two addresses, an interface and a cookie, and a mask of
// states.
func dumpRequest(f Filter) []byte {
	b := make([]byte, syscall.NLMSG_HDRLEN+diagRequestSize)
	binary.NativeEndian.PutUint32(b[0:], uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], tcpDiag)
	binary.NativeEndian.PutUint16(b[6:], syscall.NLM_F_REQUEST|syscall.NLM_F_DUMP)
	request := b[syscall.NLMSG_HDRLEN:]
	binary.BigEndian.PutUint16(request[4:], f.LocalPort)
	binary.BigEndian.PutUint16(request[6:], f.RemotePort)
	binary.NativeEndian.PutUint32(request[52:], stateMask(f))
	return b
}

// stateMask leaves out TIME_WAIT where a process's sockets are wanted: it owns none of them, and there may be tens of thousands.
func stateMask(f Filter) uint32 {
	switch {
	case len(f.States) == 0 && f.PID != 0:
		return ^uint32(1 << TimeWait)
	case len(f.States) == 0:
		return ^uint32(0)
	}
	mask := uint32(0)
	for _, s := range f.States {
		mask |= 1 << s
		if s == SynReceived {
			mask |= 1 << newSynReceived
		}
	}
	return mask
}

// netlinkError reads the negative error number that NLMSG_ERROR and NLMSG_DONE begin with.
func netlinkError(data []byte) error {
	if len(data) < 4 {
		return errors.New("short error message")
	}
	if number := -int32(binary.NativeEndian.Uint32(data)); number != 0 {
		return syscall.Errno(number)
	}
	return nil
}

// decode reads an inet_diag_msg: family, state, two bytes more, ports and addresses in network order, and at the end
// the receive queue, the send queue, user and inode.
func decode(b []byte) (Socket, bool) {
	if len(b) < diagMessageSize {
		return Socket{}, false
	}
	address := func(at []byte) netip.Addr {
		if b[0] == syscall.AF_INET {
			return netip.AddrFrom4([4]byte(at[:4]))
		}
		return netip.AddrFrom16([16]byte(at[:16]))
	}
	return Socket{
		State:  normal(State(b[1])),
		Local:  unmapped(address(b[8:]), binary.BigEndian.Uint16(b[4:])),
		Remote: unmapped(address(b[24:]), binary.BigEndian.Uint16(b[6:])),
		Unread: binary.NativeEndian.Uint32(b[56:]),
		UID:    binary.NativeEndian.Uint32(b[64:]),
		Inode:  uint64(binary.NativeEndian.Uint32(b[68:])),
	}, true
}
