package sockstat

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// List returns the TCP sockets of this network namespace that the filter selects, in no particular order. With a PID it needs the right to
// read that process's descriptors.
func List(f Filter) ([]Socket, error) {
	sockets, netlinkErr := netlinkSockets(f)
	if netlinkErr != nil {
		var err error
		if sockets, err = procSockets(f); err != nil {
			return nil, errors.Join(netlinkErr, err)
		}
	}
	if f.PID == 0 {
		return sockets, nil
	}
	owned, err := inodes(f.PID)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(sockets, func(s Socket) bool { return !owned[s.Inode] }), nil
}

// Descriptors returns how many file descriptors a process has open.
func Descriptors(pid int) (int, error) {
	fds, err := os.ReadDir(descriptorsOf(pid))
	if err != nil {
		return 0, fmt.Errorf("sockstat: %w", err)
	}
	if pid == os.Getpid() {
		return len(fds) - 1, nil // the one that reads the directory
	}
	return len(fds), nil
}

func descriptorsOf(pid int) string { return fmt.Sprintf("/proc/%d/fd", pid) }

// inodes returns the inodes of the sockets that a process has open.
func inodes(pid int) (map[uint64]bool, error) {
	dir := descriptorsOf(pid)
	fds, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("sockstat: %w", err)
	}
	found := map[uint64]bool{}
	for _, fd := range fds {
		target, err := os.Readlink(filepath.Join(dir, fd.Name()))
		if errors.Is(err, syscall.ENOENT) {
			continue // closed since
		}
		if err != nil {
			return nil, fmt.Errorf("sockstat: %w", err)
		}
		if number, ok := strings.CutPrefix(target, "socket:["); ok {
			n, err := strconv.ParseUint(strings.TrimSuffix(number, "]"), 10, 64)
			if err != nil {
				return nil, fmt.Errorf("sockstat: %s: %w", target, err)
			}
			found[n] = true
		}
	}
	return found, nil
}
