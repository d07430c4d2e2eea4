package http1

import "fmt"

// A MalformedError tells what of a response breaks the rules of HTTP/1.1. It never repeats a field's value.
type MalformedError struct {
	Part string // "status line", "field name", ...
	Text string // what is wrong, and with which field
}

func (e *MalformedError) Error() string {
	return fmt.Sprintf("http1: malformed response: %s: %s", e.Part, e.Text)
}

func malformed(part, format string, args ...any) error {
	return &MalformedError{Part: part, Text: fmt.Sprintf(format, args...)}
}

// clip shortens what a server sent for an error's text.
func clip(s string) string {
	const most = 40
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}
