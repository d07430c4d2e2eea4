//go:build unix

package main

import "syscall"

// A stopped process answers nothing, and its kernel goes on to acknowledge.
const stop = syscall.SIGSTOP
