//go:build !linux

package sockstat

import (
	"errors"
	"fmt"
)

var errSystem = fmt.Errorf("sockstat: the kernel's socket table is read on Linux only: %w", errors.ErrUnsupported)

// List returns an error that wraps errors.ErrUnsupported.
func List(Filter) ([]Socket, error) { return nil, errSystem }

// Descriptors returns an error that wraps errors.ErrUnsupported.
func Descriptors(int) (int, error) { return 0, errSystem }
