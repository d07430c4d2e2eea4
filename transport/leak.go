package transport

import (
	"context"
	"hash/fnv"
	"io"
	"log/slog"
	"maps"
	"runtime/debug"
	"time"
)

// A LeakCause tells how a leaked body was found.
type LeakCause string

const (
	// Dropped means that the collector found the body unreachable, neither closed nor read to its end.
	Dropped LeakCause = "dropped"
	// Forgotten means that the body is still referred to and was not read for LeakTimeout, or for 5 minutes if that is 0.
	Forgotten LeakCause = "forgotten"
	// HungUp means that the peer had hung up before the body was found to be dropped or forgotten.
	HungUp LeakCause = "hung up"
)

// A Leak is a body that its caller neither closed nor read to its end, and whose connection had to be taken back. A forgotten
// body keeps its connection, if LeakTimeout is 0, until that is needed.
type Leak struct {
	OpenBody
	Cause LeakCause
}

// A leakLog limits the log lines of one origin: one per stack and minute. The first frame alone would not do, as it is the same for
// all who share a function that makes their requests.
type leakLog struct {
	told       map[uint64]time.Time // by the hash of the stack
	suppressed int                  // since the last line
}

const (
	leakLogEvery   = time.Minute
	maxLeakStacks  = 20   // lines per origin and minute
	maxLeakOrigins = 1000 // origins whose leaks are told apart; a crawler must not fill memory
)

// allowed reports whether it is time for a line about a leak with this stack, and how many were left out since the last line.
func (l *leakLog) allowed(stack string, now time.Time) (ok bool, suppressed int) {
	maps.DeleteFunc(l.told, func(_ uint64, at time.Time) bool { return now.Sub(at) >= leakLogEvery })
	h := fnv.New64a()
	_, _ = io.WriteString(h, stack)
	place := h.Sum64()
	if _, told := l.told[place]; told || len(l.told) >= maxLeakStacks {
		l.suppressed++
		return false, 0
	}
	suppressed, l.suppressed = l.suppressed, 0
	l.told[place] = now
	return true, suppressed
}

// otherOrigins stands for the origins beyond maxLeakOrigins.
var otherOrigins = origin{}

// report tells of a leak, after its connection was taken back if it is. It runs in a goroutine of its own.
func (r *register) report(b *openBody, cause LeakCause) {
	l := Leak{OpenBody: r.describe(b), Cause: cause}
	if b.account != nil {
		r.ledger.leaked(b.account, cause)
	}
	log, suppressed := r.note(b.origin(), l, time.Now())
	switch {
	case r.onLeak != nil:
		r.tell(l)
	case log:
		r.log(l, suppressed)
	}
}

// note remembers the origin of a leak, and tells whether it is time for a log line, and how many were left out since the last.
func (r *register) note(o origin, leak Leak, now time.Time) (log bool, suppressed int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.origins == nil {
		r.origins = map[origin]*leakLog{}
		r.leaks.Store(true)
	}
	l := r.origins[o]
	if l == nil && len(r.origins) >= maxLeakOrigins {
		o = otherOrigins
		l = r.origins[o]
	}
	if l == nil {
		l = &leakLog{told: map[uint64]time.Time{}}
		r.origins[o] = l
	}
	return l.allowed(leak.Stack, now)
}

// tell calls OnLeak.
func (r *register) tell(l Leak) {
	defer r.survive("OnLeak")
	r.onLeak(l)
}

// survive is deferred around what is the caller's. A panic in that is no reason to end a process that only leaked a body.
func (r *register) survive(what string) {
	if p := recover(); p != nil {
		r.write(slog.LevelError, what+" panicked", slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
	}
}

// write writes a line to the log. Nobody is left to be told that this panicked.
func (r *register) write(level slog.Level, line string, attrs ...slog.Attr) {
	defer func() { _ = recover() }()
	logger := r.logger
	if logger == nil {
		logger = slog.Default()
	}
	logger.LogAttrs(context.Background(), level, "transport: "+line, attrs...)
}

func (r *register) log(l Leak, suppressed int) {
	opened := l.Stack
	if opened == "" {
		opened = "not recorded: set RecordStacks, or wait for the next leak of this origin"
	}
	r.write(slog.LevelWarn, "response body was neither closed nor read to its end",
		slog.String("method", l.Method),
		slog.String("url", l.URL),
		slog.Duration("age", l.Age),
		slog.Int64("bytes_read", l.BytesRead),
		slog.String("cause", string(l.Cause)),
		slog.String("opened_at", opened),
		slog.Int("suppressed", suppressed),
	)
}
