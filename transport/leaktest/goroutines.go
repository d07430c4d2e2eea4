package leaktest

import (
	"bytes"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// goroutine returns the number of the calling goroutine, which the runtime tells in the head of a stack only. Numbers are
// never used twice.
func goroutine() uint64 {
	var buf [64]byte
	_, rest, _ := strings.Cut(string(buf[:runtime.Stack(buf[:], false)]), "goroutine ")
	return leadingNumber(rest)
}

func leadingNumber(s string) uint64 {
	digits, _, _ := strings.Cut(s, " ")
	n, _ := strconv.ParseUint(digits, 10, 64)
	return n
}

// started returns the go statement of the calling goroutine; the zero frame where that is not known, or is not the program's.
func started() frame {
	var buf [32 << 10]byte
	f := parseGoroutine(string(buf[:runtime.Stack(buf[:], false)])).started
	if f.function == "" || isStandard(f.function, f.file) || isOurs(f.function) {
		return frame{}
	}
	return f
}

// A running is a goroutine, as a dump of all of them tells of it.
type running struct {
	number  uint64
	creator uint64  // the goroutine that started it; 0 if that is not known
	started frame   // the go statement
	stack   []frame // the innermost first
}

// everyGoroutine returns all goroutines of the process.
func everyGoroutine() (all []running) {
	for _, block := range strings.Split(string(dump()), "\n\n") {
		if rest, ok := strings.CutPrefix(block, "goroutine "); ok {
			all = append(all, parseGoroutine(rest))
		}
	}
	return all
}

// maxDump bounds a dump.
const maxDump = 64 << 20

func dump() []byte {
	for size := 256 << 10; ; size *= 4 {
		buf := make([]byte, size)
		if n := runtime.Stack(buf, true); n < size || size >= maxDump {
			return bytes.TrimSpace(buf[:n])
		}
	}
}

// parseGoroutine reads "5 [state]:", pairs of lines with a function and its place, among them perhaps "...7 frames elided...", and
// "created by f in goroutine 4".
func parseGoroutine(block string) running {
	lines := slices.DeleteFunc(strings.Split(block, "\n"), func(line string) bool { return strings.HasPrefix(line, "...") })
	g := running{number: leadingNumber(lines[0])}
	for i := 1; i+1 < len(lines); i += 2 {
		if by, ok := strings.CutPrefix(lines[i], "created by "); ok {
			starter, creator, _ := strings.Cut(by, " in goroutine ")
			g.started, g.creator = parsePlace(starter, lines[i+1]), leadingNumber(creator)
			break
		}
		function := lines[i]
		if end := strings.LastIndexByte(function, '('); end > 0 {
			function = function[:end]
		}
		g.stack = append(g.stack, parsePlace(function, lines[i+1]))
	}
	return g
}

// parsePlace reads "\tfile:line +0x12".
func parsePlace(function, at string) frame {
	at, _, _ = strings.Cut(strings.TrimSpace(at), " +0x")
	colon := max(strings.LastIndexByte(at, ':'), 0)
	line, _ := strconv.Atoi(strings.TrimPrefix(at[colon:], ":"))
	return frame{function, at[:colon], line}
}

// isOurs reports whether we started the goroutine, or had it started: its outermost frame that is not the standard library's is
// ours. One of the program's that is within a call to us is not.
func (g running) isOurs() bool {
	for i := len(g.stack) - 1; i >= 0; i-- {
		if f := g.stack[i]; !isStandard(f.function, f.file) {
			return isOurs(f.function) && !strings.HasPrefix(f.function, module+"transport/leaktest.")
		}
	}
	return false
}

// mayRead reports whether the goroutine runs the program's code, and is not that of a server or of HTTP/2.
func (g running) mayRead() bool {
	users := false
	for _, f := range g.stack {
		if isServing(f.function) || strings.HasPrefix(f.function, "testing.") || isHTTP2(f.function) {
			return false
		}
		users = users || !isStandard(f.function, f.file) && !isOurs(f.function)
	}
	return users && !g.isOurs()
}

// isServing reports whether a function is of net/http's server, or calls handlers for it.
func isServing(function string) bool {
	return slices.ContainsFunc([]string{"Server", "conn", "connReader", "http2serverConn"}, func(of string) bool {
		return strings.HasPrefix(function, "net/http.(*"+of+").")
	})
}

// isHTTP2 reports whether a function is of HTTP/2's codec: x/net's or, from Go 1.27 on, net/http's.
func isHTTP2(function string) bool {
	return strings.HasPrefix(function, "golang.org/x/net/http2.") || strings.HasPrefix(function, "net/http/internal/http2.")
}

// place returns the innermost frame that is not the standard library's.
func (g running) place() frame {
	for _, f := range g.stack {
		if !isStandard(f.function, f.file) {
			return f
		}
	}
	return frame{}
}

// speaksHTTP reports whether a goroutine is about HTTP, and not of a pool or a reaper that the program uses by itself.
func (g running) speaksHTTP() bool {
	about := func(function string) bool {
		return strings.HasPrefix(function, module+"transport.") || strings.HasPrefix(function, module+"internal/http1.")
	}
	for _, f := range g.stack {
		if about(f.function) {
			return true
		}
	}
	return about(g.started.function)
}

// goroutinesOf returns those of some Transports, by their numbers. What was started by one of their dials is; others show whose they
// are only if every other Transport of the process is at rest.
func goroutinesOf(some map[*record]bool) map[uint64]frame {
	alone := true
	for _, other := range records.list() {
		alone = alone && (some[other] || other.subject.Bubble || !other.hasSomething())
	}
	left := map[uint64]frame{}
	for _, g := range everyGoroutine() {
		if g.isOurs() && !records.told(g.number) && (alone && g.speaksHTTP() || startedByDial(g, some)) {
			left[g.number] = g.place()
		}
	}
	return left
}

func startedByDial(g running, some map[*record]bool) bool {
	for r := range some {
		if r.hasDialed(g.creator) {
			return true
		}
	}
	return false
}
