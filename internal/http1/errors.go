package http1

import (
	"context"
	"fmt"
	"net"
)

// An Error is what this package finds wrong with an exchange, besides a malformed response: a limit or a timeout of ours was
// exceeded, or the request's body is not what was announced. Its text says at which step, and leaves it to the caller to say
// with whom.
type Error struct {
	text    string
	timeout bool
}

func (e *Error) Error() string { return e.text }

// Timeout reports whether a timeout passed.
func (e *Error) Timeout() bool { return e.timeout }

// Temporary reports whether a timeout passed.
func (e *Error) Temporary() bool { return e.timeout }

// Is reports whether target is context.DeadlineExceeded and a timeout passed.
func (e *Error) Is(target error) bool { return e.timeout && target == context.DeadlineExceeded }

var _ net.Error = (*Error)(nil)

// NewError returns an Error of the caller's, whose exchange is one over HTTP/2.
func NewError(text string, timeout bool) *Error { return &Error{text, timeout} }

func faulty(format string, args ...any) error { return NewError(fmt.Sprintf(format, args...), false) }

var (
	// ErrHeadTimeout means that ResponseHeaderTimeout passed.
	ErrHeadTimeout error = NewError("timeout awaiting response headers (ResponseHeaderTimeout)", true)
	// ErrHeadFields means that the response's head has more than MaxFields fields.
	ErrHeadFields    = faulty("reading the response's head: it has more than %d fields", MaxFields)
	errTrailerFields = faulty("reading the response's body: its trailer section has more than %d fields", MaxFields)
	// ErrUnasked means that nothing was written, as there were bytes on the connection that nobody had asked for.
	ErrUnasked = faulty("sending the request: the server sent bytes before it")
	// ErrBodyExited means that the body's Read or Close, or a hook, called runtime.Goexit.
	ErrBodyExited = faulty("sending the request's body: it, or a hook, exited the goroutine")
	errNotSent    = faulty("sending the request's body: the server answered without 100 Continue")
)

func errHeadTooLarge(limit int64) error {
	return faulty("reading the response's head: it exceeds %d bytes (MaxResponseHeaderBytes)", limit)
}

// errTrailerTooLarge is about the trailer section, which must fit into the buffer: a chunk-size line always does.
func errTrailerTooLarge(limit int) error {
	return faulty("reading the response's body: its trailer section exceeds %d bytes (ReadBufferSize)", limit)
}

func errLength(announced, got int64) error {
	if got > announced {
		return faulty("sending the request's body: it is longer than its ContentLength of %d", announced)
	}
	return faulty("sending the request's body: its ContentLength is %d, but it ended after %d bytes", announced, got)
}

// A MalformedError tells what in a response breaks the rules of HTTP/1.1. It never repeats the value of a field, which
// may be a secret; of names, up to a space, and the status line it quotes the beginning.
type MalformedError struct {
	Part string // of the response: "status line", "field line", "framing", "chunked body", ...
	Text string // what is wrong there
}

// Error says what is wrong and where.
func (e *MalformedError) Error() string {
	return "malformed HTTP response: " + e.Part + ": " + e.Text
}

func malformed(part, format string, args ...any) error {
	return &MalformedError{Part: part, Text: fmt.Sprintf(format, args...)}
}

// clip shortens what a server sent to what an error may quote.
func clip[T string | []byte](s T) string {
	const most = 40
	if len(s) > most {
		return string(s[:most]) + "..."
	}
	return string(s)
}
