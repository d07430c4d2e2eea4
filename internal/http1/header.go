package http1

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"net/http"
	"slices"

	"golang.org/x/net/http/httpguts"
)

// A header or trailer section (RFC 9112 sections 5 and 7.1.2) is parsed in two steps. scanFields checks it and brings
// its bytes into the form that is kept: names canonical, folds undone. makeHeader then cuts names and values out of one
// string copy of those bytes, so that a section costs one string, however many fields it has.

// A field is where in its section a name and a value lie.
type field struct {
	name, nameEnd, value, valueEnd int
}

// MaxFields is how many fields the header or the trailer section of a response may have: more than anybody sends, and few enough that those
// of a few bytes, each of which costs many times its size in memory, cost a megabyte at most. net/http's multipart reader takes as many.
const MaxFields = 10000

// usualFields is how many fields a head may have before noting them allocates.
const usualFields = 24

// scanFields appends the fields of the section b[i:], which must end with its empty line, to fields, and rewrites b as
// said above.
//
// lax tells that not everybody would see the same fields there: a line ends with a bare LF or is folded, or a name has a space in it.
func scanFields(fields []field, b []byte, i int) (_ []field, lax bool, err error) {
	if i < len(b) && isSpace(b[i]) {
		return nil, false, malformed("field line", "the first one begins with white space")
	}
	for {
		if n := emptyLine(b[i:]); n > 0 {
			if i+n != len(b) {
				return nil, false, malformed("field line", "bytes behind the empty line")
			}
			return fields, lax || n == 1, nil
		}
		n, spaced, err := scanName(b[i:])
		if err != nil {
			return nil, false, err
		}
		f := field{name: i, nameEnd: i + n, value: i + n + 1}
		end, next, ok := lineEnd(b, f.value)
		lax = lax || spaced || next == end+1
		f.valueEnd = trimEnd(b, f.value, end)
		for ok && next < len(b) && isSpace(b[next]) {
			lax = true
			f.valueEnd, next, ok = unfold(b, f.valueEnd, next)
		}
		if !ok {
			return nil, false, malformed("field value", "control character in %q", clip(b[i:i+n]))
		}
		for f.value < f.valueEnd && isSpace(b[f.value]) {
			f.value++
		}
		f.valueEnd = trimEnd(b, f.value, f.valueEnd)
		if len(fields) == MaxFields {
			return nil, false, ErrHeadFields
		}
		if len(fields) == cap(fields) {
			// Exactly so many, and once.
			fields = slices.Grow(fields, min(bytes.Count(b[i:], []byte("\n")), MaxFields-len(fields)))
		}
		fields = append(fields, f)
		i = next
	}
}

// mostHint bounds what is allocated ahead for the fields of one section, which may be many and empty.
const mostHint = 1000

// makeHeader cuts the fields out of section. values is storage for single values, used up to its capacity.
func makeHeader(fields []field, section string, values []string) http.Header {
	h := make(http.Header, min(len(fields), mostHint))
	for i, f := range fields {
		name, value := section[f.name:f.nameEnd], section[f.value:f.valueEnd]
		if old, ok := h[name]; ok {
			h[name] = append(old, value)
			continue
		}
		n := len(values)
		if n == cap(values) {
			values = make([]string, 0, min(len(fields)-i, mostHint))
			n = 0
		}
		values = append(values, value)
		// The capacity ends here: appending to one field never overwrites another.
		h[name] = values[n : n+1 : n+1]
	}
	return h
}

// emptyLine returns the length of the empty line that b begins with, 0 if it begins with none.
func emptyLine(b []byte) int {
	switch {
	case len(b) >= 1 && b[0] == '\n':
		return 1
	case len(b) >= 2 && b[0] == '\r' && b[1] == '\n':
		return 2
	}
	return 0
}

// scanName returns the length of the field name that line begins with and a colon ends, and whether it has a space in it, and makes it
// canonical as http.CanonicalHeaderKey does. A name with a space inside is no token (RFC 9110 section 5.6.2); net/http keeps it as
// it is, and so do we. Before the colon a space is refused: there it has served to smuggle framing fields past a parser
// (RFC 9112 section 5.1).
func scanName(line []byte) (n int, spaced bool, err error) {
	canonical, first := true, true
	for n, c := range line {
		switch {
		case 'a' <= c && c <= 'z':
			canonical = canonical && !first
			first = false
		case c == '-':
			first = true
		case 'A' <= c && c <= 'Z':
			canonical = canonical && first
			first = false
		case c == ':' && n > 0 && line[n-1] != ' ':
			if !canonical && !spaced {
				canonicalize(line[:n])
			}
			return n, spaced, nil
		case c == ' ':
			spaced = true
		case !isToken(c):
			return 0, false, badName(line, n)
		default:
			first = false
		}
	}
	return 0, false, malformed("field line", "no end")
}

// badName tells why the field name that line begins with cannot go on with line[n].
func badName(line []byte, n int) error {
	switch c := line[n]; {
	case c == '\r' || c == '\n':
		return malformed("field line", "no colon in a line of %d bytes", n) // which may be the rest of a value
	case c == ':' && n == 0:
		return malformed("field name", "empty")
	}
	word, _, spaced := bytes.Cut(line[:n], []byte(" "))
	if spaced && line[n] == ':' {
		return malformed("field name", "white space behind %q", clip(word))
	}
	return malformed("field name", "byte %#02x behind %q", line[n], clip(word))
}

// canonicalize writes the letters that begin name or follow a hyphen in upper case, all others in lower case.
func canonicalize(name []byte) {
	first := true
	for i, c := range name {
		switch {
		case first && 'a' <= c && c <= 'z':
			name[i] = c - ('a' - 'A')
		case !first && 'A' <= c && c <= 'Z':
			name[i] = c + ('a' - 'A')
		}
		first = c == '-'
	}
}

// equalFold compares s, ASCII letters in either case, with a word in lower case. strings.EqualFold is not for protocol
// words: it takes the Kelvin sign for a k.
func equalFold(s, lower string) bool {
	if len(s) != len(lower) {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

func isToken(c byte) bool { return httpguts.IsTokenRune(rune(c)) }

func isSpace(c byte) bool { return c == ' ' || c == '\t' }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// unfold moves the line that begins at b[next] with white space behind the one that ends at b[end], which it continues,
// and puts a single space between them (RFC 9112 section 5.2). The line break makes the room.
func unfold(b []byte, end, next int) (newEnd, newNext int, ok bool) {
	for next < len(b) && isSpace(b[next]) {
		next++
	}
	stop, newNext, ok := lineEnd(b, next)
	b[end] = ' '
	newEnd = end + 1 + copy(b[end+1:], b[next:trimEnd(b, next, stop)])
	return newEnd, newNext, ok
}

// trimEnd returns where b[begin:end] ends without the white space at its end.
func trimEnd(b []byte, begin, end int) int {
	for begin < end && isSpace(b[end-1]) {
		end--
	}
	return end
}

// lineEnd returns where the line that b[i] is in ends, and where the next one begins. It is not ok for a line with a
// control character other than HTAB, such as a NUL or a CR without LF, or without an end.
func lineEnd(b []byte, i int) (end, next int, ok bool) {
	end = control(b, i)
	switch {
	case end == len(b):
		return end, end, false
	case b[end] == '\n':
		return end, end + 1, true
	case b[end] == '\r' && end+1 < len(b) && b[end+1] == '\n':
		return end, end + 2, true
	}
	return end, end, false
}

// control returns the index of the first control character other than HTAB in b[i:], len(b) if there is none. It looks
// at eight bytes at a time: a byte below 0x20, or DEL, borrows into its highest bit. Borrows that run on into higher
// bytes may mark those too, so only the lowest mark counts.
func control(b []byte, i int) int {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	for i+8 <= len(b) {
		x := binary.LittleEndian.Uint64(b[i:])
		del := x ^ 0x7f*ones
		marks := ((x-0x20*ones)&^x | (del-ones)&^del) & highs
		if marks == 0 {
			i += 8
			continue
		}
		i += bits.TrailingZeros64(marks) / 8
		if b[i] != '\t' {
			return i
		}
		i++
	}
	for ; i < len(b); i++ {
		if c := b[i]; c < ' ' && c != '\t' || c == 0x7f {
			return i
		}
	}
	return i
}
