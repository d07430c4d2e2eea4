//go:build !unix

package main

import "time"

// cpuTime is not known on this system: the figures of CPU time are none.
func cpuTime() time.Duration { return 0 }
