package http1

import "syscall"

// systemResets are what Windows says of a reset, to a Write also by the second. Its syscall.ECONNRESET is Go's invention.
var systemResets = []error{syscall.WSAECONNRESET, syscall.WSAECONNABORTED}
