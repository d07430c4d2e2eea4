package http1

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// A fieldWriter appends fields to dst and tells wrote.
type fieldWriter struct {
	dst   []byte
	wrote func(name string, values []string)
	// unchecked: nobody has looked at the values, and all control characters become spaces, not line breaks alone.
	unchecked bool
}

// field appends a field whose value is known to be in order.
func (w *fieldWriter) field(name, value string) {
	w.dst = append(w.dst, name...)
	w.dst = append(w.dst, ": "...)
	w.dst = append(w.dst, value...)
	w.dst = append(w.dst, "\r\n"...)
	if w.wrote != nil {
		w.wrote(name, []string{value})
	}
}

// callersField appends a field with a value of the caller.
func (w *fieldWriter) callersField(name, value string) {
	begin := w.line(name, value)
	if w.wrote != nil {
		w.wrote(name, []string{w.written(begin)})
	}
}

// line appends the line of a field with a value of the caller, and returns where the value begins.
func (w *fieldWriter) line(name, value string) (begin int) {
	w.dst = append(w.dst, name...)
	w.dst = append(w.dst, ": "...)
	begin = len(w.dst)
	for len(value) > 0 && isBlank(value[0]) {
		value = value[1:]
	}
	for len(value) > 0 && isBlank(value[len(value)-1]) {
		value = value[:len(value)-1]
	}
	w.dst = append(w.dst, value...)
	for i := control(w.dst, begin); i < len(w.dst); i = control(w.dst, i+1) {
		if c := w.dst[i]; c == '\n' || c == '\r' || w.unchecked {
			w.dst[i] = ' '
		}
	}
	w.dst = append(w.dst, "\r\n"...)
	return begin
}

// written returns the value of the last line, which begins there.
func (w *fieldWriter) written(begin int) string {
	return string(w.dst[begin : len(w.dst)-len("\r\n")])
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

func (w *fieldWriter) userAgent(h http.Header) {
	values, ok := h["User-Agent"]
	switch {
	case !ok:
		w.field("User-Agent", "Go-http-client/1.1")
	case len(values) > 0 && values[0] != "":
		w.callersField("User-Agent", values[0])
	}
}

func (w *fieldWriter) contentLength(n int64) {
	w.dst = append(w.dst, "Content-Length: "...)
	begin := len(w.dst)
	w.dst = strconv.AppendInt(w.dst, n, 10)
	w.dst = append(w.dst, "\r\n"...)
	if w.wrote != nil {
		w.wrote("Content-Length", []string{w.written(begin)})
	}
}

// announceTrailer appends the names that the trailer section will have (RFC 9110 section 6.6.2).
func (w *fieldWriter) announceTrailer(t http.Header) {
	names := make([]string, 0, len(t))
	for name := range t {
		if !FramesMessage(name) {
			names = append(names, http.CanonicalHeaderKey(name))
		}
	}
	if len(names) == 0 {
		return
	}
	slices.Sort(names)
	w.line("Trailer", strings.Join(names, ","))
	if w.wrote != nil {
		w.wrote("Trailer", names)
	}
}

// A namedValues is one entry of a header.
type namedValues struct {
	name   string
	values []string
}

// fields appends the fields of h in the order of their names, except those that omit tells.
func (w *fieldWriter) fields(h http.Header, omit func(name string) bool) {
	// A small array is worth a case of its own, since the stack is cleared for it.
	switch {
	case len(h) == 0:
	case len(h) <= 8:
		var storage [8]namedValues
		w.sorted(insertFields(storage[:0], h, omit))
	case len(h) <= 32:
		var storage [32]namedValues
		w.sorted(insertFields(storage[:0], h, omit))
	default:
		many := make([]namedValues, 0, len(h))
		for name, values := range h {
			if !omit(name) && httpguts.ValidHeaderFieldName(name) {
				many = append(many, namedValues{name, values})
			}
		}
		slices.SortFunc(many, func(a, b namedValues) int { return strings.Compare(a.name, b.name) })
		w.sorted(many)
	}
}

// insertFields puts the fields of h into dst, which is empty and has the room, each in its place.
func insertFields(dst []namedValues, h http.Header, omit func(name string) bool) []namedValues {
	for name, values := range h {
		if omit(name) || !httpguts.ValidHeaderFieldName(name) {
			continue
		}
		i := len(dst)
		dst = dst[:i+1]
		for ; i > 0 && name < dst[i-1].name; i-- {
			dst[i] = dst[i-1]
		}
		dst[i] = namedValues{name, values}
	}
	return dst
}

func (w *fieldWriter) sorted(fields []namedValues) {
	for _, f := range fields {
		var values []string // as written, for the trace
		for _, v := range f.values {
			begin := w.line(f.name, v)
			if w.wrote != nil {
				values = append(values, w.written(begin))
			}
		}
		if w.wrote != nil {
			w.wrote(f.name, values)
		}
	}
}
