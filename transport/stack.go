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

// formatStack renders a stack from the caller's frame on: what this package and net/http do in between says nothing.
func formatStack(pcs []uintptr) string {
	if len(pcs) == 0 {
		return ""
	}
	var b strings.Builder
	frames := runtime.CallersFrames(pcs)
	begun := false
	for {
		f, more := frames.Next()
		begun = begun || !between(f.Function)
		if begun && !strings.HasPrefix(f.Function, "runtime.") {
			if b.Len() > 0 {
				b.WriteByte('\n')
			}
			fmt.Fprintf(&b, "%s %s:%d", f.Function, f.File, f.Line)
		}
		if !more {
			return b.String()
		}
	}
}

const ownPackage = "github.com/watertight-go/watertight/transport."

// between reports whether a function stands between the caller and the connection.
func between(function string) bool {
	return strings.HasPrefix(function, ownPackage) || strings.HasPrefix(function, "net/http.")
}
