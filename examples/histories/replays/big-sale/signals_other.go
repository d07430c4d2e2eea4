//go:build !unix

package main

import "syscall"

// There is no such signal here; to send it is an error.
const stop = syscall.Signal(0)
