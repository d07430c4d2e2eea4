package sockstat

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"syscall"
)

// Of linux/sock_diag.h and linux/inet_diag.h.
const (
	netlinkSockDiag  = 4
	sockDiagByFamily = 20
	dumpInterrupted  = 0x10 // NLM_F_DUMP_INTR
	diagRequestSize  = 56   // struct inet_diag_req_v2
	diagMessageSize  = 72   // struct inet_diag_msg
	maxDumps         = 10   // tries at a dump without changes in between
)

var errInterrupted = errors.New("sockstat: sockets changed during the dump")

// netlinkSockets asks the kernel for all TCP sockets.
func netlinkSockets() ([]Socket, error) {
	var all []Socket
	for _, family := range []uint8{syscall.AF_INET, syscall.AF_INET6} {
		var some []Socket
		err := errInterrupted
		for try := 0; errors.Is(err, errInterrupted) && try < maxDumps; try++ {
			some, err = dump(family)
		}
		if err != nil && !errors.Is(err, errInterrupted) {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

func dump(family uint8) ([]Socket, error) {
	fd, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC, netlinkSockDiag)
	if err != nil {
		return nil, fmt.Errorf("sockstat: netlink: %w", err)
	}
	defer syscall.Close(fd)
	if err := syscall.Sendto(fd, dumpRequest(family), 0, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK}); err != nil {
		return nil, fmt.Errorf("sockstat: netlink: %w", err)
	}
	var sockets []Socket
	changed := false
	buf := make([]byte, 64<<10)
	for {
		n, _, err := syscall.Recvfrom(fd, buf, 0)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("sockstat: netlink: %w", err)
		}
		messages, err := syscall.ParseNetlinkMessage(buf[:n])
		if err != nil {
			return nil, fmt.Errorf("sockstat: netlink: %w", err)
		}
		for _, m := range messages {
			changed = changed || m.Header.Flags&dumpInterrupted != 0
			switch m.Header.Type {
			case syscall.NLMSG_DONE:
				if changed {
					return sockets, errInterrupted
				}
				return sockets, nil
			case syscall.NLMSG_ERROR:
				return nil, fmt.Errorf("sockstat: netlink: %w", netlinkError(m.Data))
			case sockDiagByFamily:
				if s, ok := decode(m.Data); ok {
					sockets = append(sockets, s)
				}
			}
		}
	}
}

// dumpRequest is a header and an inet_diag_req_v2 for all states.
func dumpRequest(family uint8) []byte {
	b := make([]byte, syscall.NLMSG_HDRLEN+diagRequestSize)
	binary.NativeEndian.PutUint32(b[0:], uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], sockDiagByFamily)
	binary.NativeEndian.PutUint16(b[6:], syscall.NLM_F_REQUEST|syscall.NLM_F_DUMP)
	request := b[syscall.NLMSG_HDRLEN:]
	request[0] = family
	request[1] = syscall.IPPROTO_TCP
	binary.NativeEndian.PutUint32(request[4:], 1<<32-1)
	return b
}

func netlinkError(data []byte) error {
	if len(data) < 4 {
		return errors.New("short error message")
	}
	return syscall.Errno(-int32(binary.NativeEndian.Uint32(data)))
}

// decode reads an inet_diag_msg: family, state, two bytes more, then ports and addresses in network order.
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
		Local:  parseMapped(address(b[8:]), binary.BigEndian.Uint16(b[4:])),
		Remote: parseMapped(address(b[24:]), binary.BigEndian.Uint16(b[6:])),
		Inode:  uint64(binary.NativeEndian.Uint32(b[68:])),
	}, true
}

func normal(s State) State {
	if s == newSynReceived {
		return SynReceived
	}
	return s
}
