package http1

import "fmt"

// A MalformedError tells what in a response breaks the rules of HTTP/1.1. It never repeats the value of a field, which
// may be a secret; of names and the status line it quotes the beginning.
type MalformedError struct {
	Part string // of the response: "status line", "field line", "framing", "chunked body", ...
	Text string // what is wrong there
}

// Error says what is wrong and where.
func (e *MalformedError) Error() string {
	return "http1: malformed response: " + e.Part + ": " + e.Text
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
