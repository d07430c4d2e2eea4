package http1

import (
	"errors"
	"slices"
	"syscall"
)

// IsReset reports whether err says that the peer reset the connection, in the words of this system or in those that systems share.
func IsReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || slices.ContainsFunc(systemResets, func(e error) bool { return errors.Is(err, e) })
}
