package pool

import (
	"bytes"
	"runtime"
)

// inBubble reports whether the caller runs in a bubble of testing/synctest.
//
// Cleanups run outside of all bubbles, and whoever touches a channel or a timer of a bubble from outside ends the
// process: a pool that a test forgot in its bubble must be left alone. The runtime tells of bubbles in the head of a
// stack only.
func inBubble() bool {
	var buf [128]byte
	head, _, _ := bytes.Cut(buf[:runtime.Stack(buf[:], false)], []byte("\n"))
	head, _, _ = bytes.Cut(head, []byte("{")) // behind it are the goroutine's labels, which may say anything
	return bytes.Contains(head, []byte("synctest"))
}
