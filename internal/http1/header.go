package http1

import (
	"net/http"

	"golang.org/x/net/http/httpguts"
)

// isCanonical reports whether a valid field name is spelled as http.CanonicalHeaderKey spells it; ok is false where it is
// no field name at all (RFC 9110 section 5.1).
func isCanonical(name string) (canonical, ok bool) {
	if name == "" {
		return false, false
	}
	canonical = true
	first := true
	for i := range len(name) {
		c := name[i]
		switch {
		case 'a' <= c && c <= 'z':
			canonical = canonical && !first
		case 'A' <= c && c <= 'Z':
			canonical = canonical && first
		case !httpguts.IsTokenRune(rune(c)):
			return false, false
		}
		first = c == '-'
	}
	return canonical, true
}

// validValue reports whether a field value has visible characters, spaces, tabs and obs-text only (RFC 9110 section 5.5). A bare CR or a
// NUL is neither.
func validValue(v string) bool {
	for i := range len(v) {
		if c := v[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// trim takes spaces and tabs from both ends.
func trim(s string) string {
	for len(s) > 0 && isSpace(s[0]) {
		s = s[1:]
	}
	for len(s) > 0 && isSpace(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	return s
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' }

// nextLine cuts the first line from s, without its end.
func nextLine(s string) (line, rest string) {
	for i := range len(s) {
		if s[i] == '\n' {
			line, rest = s[:i], s[i+1:]
			if i > 0 && s[i-1] == '\r' {
				line = s[:i-1]
			}
			return line, rest
		}
	}
	return s, ""
}

// A fieldParser parses a header or trailer section.
type fieldParser struct {
	header http.Header
	values []string // storage for the values of single fields
}

// parse adds the fields in s, which ends with its empty line or at its end.
func (p *fieldParser) parse(s string) error {
	for {
		var line string
		if line, s = nextLine(s); line == "" {
			return nil
		}
		if isSpace(line[0]) {
			return malformed("field line", "begins with white space, but continues none")
		}
		if s != "" && isSpace(s[0]) {
			line, s = unfold(line, s)
		}
		if err := p.add(line); err != nil {
			return err
		}
	}
}

// unfold joins a line with those that continue it, with one space for each fold (RFC 9112 section 5.2).
func unfold(line, s string) (joined, rest string) {
	joined = trim(line)
	for s != "" && isSpace(s[0]) {
		var more string
		more, s = nextLine(s)
		joined += " " + trim(more)
	}
	return joined, s
}

func (p *fieldParser) add(line string) error {
	colon := -1
	for i := range len(line) {
		if line[i] == ':' {
			colon = i
			break
		}
	}
	if colon < 0 {
		return malformed("field line", "no colon after %q", clip(line))
	}
	name := line[:colon]
	canonical, ok := isCanonical(name)
	if !ok {
		return malformed("field name", "%q", clip(name))
	}
	value := trim(line[colon+1:])
	if !validValue(value) {
		return malformed("field value", "control character in field %q", name)
	}
	if !canonical {
		name = http.CanonicalHeaderKey(name)
	}
	if old := p.header[name]; old != nil {
		p.header[name] = append(old, value)
		return nil
	}
	if len(p.values) == cap(p.values) {
		p.values = make([]string, 0, 8)
	}
	n := len(p.values)
	p.values = append(p.values, value)
	// The capacity ends here, so that a second value does not overwrite the next field's.
	p.header[name] = p.values[n : n+1 : n+1]
	return nil
}
