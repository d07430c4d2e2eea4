package sockstat

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// procSockets reads the TCP sockets that the filter selects, its PID aside, from /proc/net/tcp and /proc/net/tcp6.
func procSockets(f Filter) ([]Socket, error) {
	var all []Socket
	for _, name := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		some, err := readProc(name, f)
		if errors.Is(err, fs.ErrNotExist) {
			continue // no IPv6
		}
		if err != nil {
			return nil, fmt.Errorf("sockstat: %s: %w", name, err)
		}
		all = append(all, some...)
	}
	return all, nil
}

func readProc(name string, f Filter) ([]Socket, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var sockets []Socket
	lines := bufio.NewScanner(file)
	lines.Scan() // the heading
	for lines.Scan() {
		s, err := parseProc(lines.Text())
		if err != nil {
			return nil, err
		}
		if f.match(s) {
			sockets = append(sockets, s)
		}
	}
	return sockets, lines.Err()
}

// parseProc parses "sl local remote st tx:rx tr:tm retrnsmt uid timeout inode ...".
func parseProc(line string) (Socket, error) {
	fields := strings.Fields(line)
	if len(fields) < 10 {
		return Socket{}, fmt.Errorf("line with %d fields", len(fields))
	}
	local, err := parseProcAddr(fields[1])
	if err != nil {
		return Socket{}, err
	}
	remote, err := parseProcAddr(fields[2])
	if err != nil {
		return Socket{}, err
	}
	state, err := strconv.ParseUint(fields[3], 16, 8)
	if err != nil {
		return Socket{}, err
	}
	_, queue, _ := strings.Cut(fields[4], ":")
	unread, err := strconv.ParseUint(queue, 16, 32)
	if err != nil {
		return Socket{}, err
	}
	uid, err := strconv.ParseUint(fields[7], 10, 32)
	if err != nil {
		return Socket{}, err
	}
	inode, err := strconv.ParseUint(fields[9], 10, 64)
	if err != nil {
		return Socket{}, err
	}
	return Socket{State: normal(State(state)), Local: local, Remote: remote, Unread: uint32(unread), UID: uint32(uid), Inode: inode}, nil
}

// parseProcAddr parses "0100007F:1F90": words of four bytes in the machine's order, and a port.
func parseProcAddr(s string) (netip.AddrPort, error) {
	hexAddr, hexPort, _ := strings.Cut(s, ":")
	b, err := hex.DecodeString(hexAddr)
	if err != nil {
		return netip.AddrPort{}, err
	}
	for i := 0; i+4 <= len(b); i += 4 {
		binary.NativeEndian.PutUint32(b[i:], binary.BigEndian.Uint32(b[i:]))
	}
	addr, ok := netip.AddrFromSlice(b)
	if !ok {
		return netip.AddrPort{}, fmt.Errorf("address %q", s)
	}
	port, err := strconv.ParseUint(hexPort, 16, 16)
	return unmapped(addr, uint16(port)), err
}
