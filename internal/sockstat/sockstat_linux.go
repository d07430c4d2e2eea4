package sockstat

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// List returns the TCP sockets of this network namespace that the filter selects, in no particular order.
func List(f Filter) ([]Socket, error) {
	all, err := netlinkSockets()
	if err != nil {
		if all, err = procSockets(); err != nil {
			return nil, err
		}
	}
	var owned map[uint64]bool
	if f.PID != 0 {
		if owned, err = inodes(f.PID); err != nil {
			return nil, err
		}
	}
	var some []Socket
	for _, s := range all {
		if f.match(s) && (owned == nil || owned[s.Inode]) {
			some = append(some, s)
		}
	}
	return some, nil
}

// Descriptors returns how many file descriptors a process has open.
func Descriptors(pid int) (int, error) {
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return 0, err
	}
	if pid == os.Getpid() {
		return len(fds) - 1, nil // the one that reads the directory
	}
	return len(fds), nil
}

// inodes returns the inodes of the sockets that a process has open.
func inodes(pid int) (map[uint64]bool, error) {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	fds, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	found := map[uint64]bool{}
	for _, fd := range fds {
		target, err := os.Readlink(filepath.Join(dir, fd.Name()))
		if errors.Is(err, syscall.ENOENT) {
			continue // closed since
		}
		if err != nil {
			return nil, err
		}
		if number, ok := strings.CutPrefix(target, "socket:["); ok {
			n, err := strconv.ParseUint(strings.TrimSuffix(number, "]"), 10, 64)
			if err != nil {
				return nil, err
			}
			found[n] = true
		}
	}
	return found, nil
}
