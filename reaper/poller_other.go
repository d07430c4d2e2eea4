//go:build !linux && !darwin && !dragonfly && !freebsd && !netbsd && !openbsd

package reaper

import (
	"errors"
	"fmt"
)

// A poller does not exist on this system: the methods are never called.
type poller struct{}

func newPoller() (*poller, error) {
	return nil, fmt.Errorf("no means on this system: %w", errors.ErrUnsupported)
}

func (*poller) add(uintptr, uint64) error       { return errors.ErrUnsupported }
func (*poller) wait(func(id uint64, err error)) {}
func (*poller) close()                          {}
