//go:build !unix

package main

import (
	"errors"
	"os"
	"syscall"
)

// There are no such signals here.
const (
	terminate = syscall.SIGTERM
	reload    = syscall.Signal(0)
	graceful  = syscall.Signal(0)
)

func tell(int, os.Signal) error { return errors.ErrUnsupported }
