package transport

import (
	"fmt"
	"runtime"
	"strings"
)

// maxFrames bounds a recorded stack.
const maxFrames = 32

// callers returns the program counters of the goroutine's stack.
func callers() []uintptr {
	var pcs [maxFrames]uintptr
	return append([]uintptr(nil), pcs[:runtime.Callers(2, pcs[:])]...)
}

// framesOf returns the frames of a stack from the caller's on: what this package and net/http do in between says nothing.
func framesOf(pcs []uintptr) (own []runtime.Frame) {
	if len(pcs) == 0 {
		return nil
	}
	frames := runtime.CallersFrames(pcs)
	for more := true; more; {
		var f runtime.Frame
		f, more = frames.Next()
		if (len(own) > 0 || !between(f.Function)) && !strings.HasPrefix(f.Function, "runtime.") {
			own = append(own, f)
		}
	}
	return own
}

// formatStack renders a stack from the caller's frame on.
func formatStack(pcs []uintptr) string {
	var b strings.Builder
	for i, f := range framesOf(pcs) {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "%s %s:%d", f.Function, f.File, f.Line)
	}
	return b.String()
}

const ownPackage = "github.com/watertight-go/watertight/transport."

// between reports whether a function stands between the caller and the connection.
func between(function string) bool {
	return strings.HasPrefix(function, ownPackage) || strings.HasPrefix(function, "net/http.")
}
