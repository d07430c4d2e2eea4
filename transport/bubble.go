package transport

import (
	"bytes"
	"runtime"
)

// inBubble reports whether the caller runs in a bubble of testing/synctest.
//
// Cleanups run outside of all bubbles, and who touches a bubble's timer or channel from outside ends the process. A
// transport that is first used in a bubble therefore does without them: what its test drops there is not taken back.
// The runtime tells of bubbles in the head of a stack only.
func inBubble() bool {
	var buf [128]byte
	head, _, _ := bytes.Cut(buf[:runtime.Stack(buf[:], false)], []byte("\n"))
	head, _, _ = bytes.Cut(head, []byte("{")) // behind it are the goroutine's labels, which may say anything
	return bytes.Contains(head, []byte("synctest"))
}
