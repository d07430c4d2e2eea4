//go:build unix

package main

import (
	"os"
	"syscall"
)

// What servers are told by signals.
const (
	terminate = syscall.SIGTERM
	reload    = syscall.SIGHUP  // nginx
	graceful  = syscall.SIGUSR1 // Apache httpd
)

// tell sends a process a signal.
func tell(pid int, s os.Signal) error {
	p, err := os.FindProcess(pid)
	if err != nil {
		return err
	}
	return p.Signal(s)
}
