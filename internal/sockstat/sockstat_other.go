//go:build !linux

package sockstat

import (
	"errors"
	"fmt"
	"os"
	"runtime"
)

var errSystem = fmt.Errorf("sockstat: %s: %w", runtime.GOOS, errors.ErrUnsupported)

// List returns an error that wraps errors.ErrUnsupported.
func List(Filter) ([]Socket, error) { return nil, errSystem }

// Descriptors returns how many file descriptors this process has open; for other processes, and on systems other than macOS, an error
// that wraps errors.ErrUnsupported.
func Descriptors(pid int) (int, error) {
	if runtime.GOOS != "darwin" || pid != os.Getpid() {
		return 0, errSystem
	}
	fds, err := os.ReadDir("/dev/fd")
	if err != nil {
		return 0, fmt.Errorf("sockstat: %w", err)
	}
	return len(fds) - 1, nil // less the one that reads the directory
}
