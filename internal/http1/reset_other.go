//go:build !windows

package http1

// systemResets are what this system says of a reset besides syscall.ECONNRESET.
var systemResets []error
