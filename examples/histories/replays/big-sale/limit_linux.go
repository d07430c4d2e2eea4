package main

import "syscall"

// limitDescriptors takes from this process what it may have more than n file descriptors.
func limitDescriptors(n uint64) error {
	if n == 0 {
		return nil
	}
	return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: n, Max: n})
}
