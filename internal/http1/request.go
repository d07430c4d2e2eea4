package http1

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// A Head is what was decided about the head of one request, besides the caller's header.
type Head struct {
	Target             string // request-target (RFC 9112 section 3.2)
	Host               string // value of the Host field
	ContentLength      int64  // sent if not negative
	Chunked            bool   // Transfer-Encoding: chunked; ContentLength is negative then
	Close              bool   // Connection: close, for Request.Close
	NoKeepAlive        bool   // Connection: close, behind the caller's fields
	AcceptGzip         bool   // Accept-Encoding: gzip, behind the caller's fields
	ProxyAuthorization string // behind the caller's fields; "" sends none
}

const defaultUserAgent = "Go-http-client/1.1"

// AppendHead appends the request line and the header section of req to dst, byte for byte what http.Transport sends: Host, User-Agent, framing,
// the caller's fields by name, then those that the transport adds. wrote is told of each field; nil: nobody. req is not changed.
func AppendHead(dst []byte, req *http.Request, h *Head, wrote func(name string, values []string)) []byte {
	w := fieldWriter{dst: dst, wrote: wrote}
	w.dst = append(w.dst, method(req)...)
	w.dst = append(w.dst, ' ')
	w.dst = append(w.dst, h.Target...)
	w.dst = append(w.dst, " HTTP/1.1\r\n"...)
	w.field("Host", h.Host)
	agent := defaultUserAgent
	if values, ok := req.Header["User-Agent"]; ok {
		agent = ""
		if len(values) > 0 {
			agent = values[0]
		}
	}
	if agent != "" {
		w.field("User-Agent", agent)
	}
	w.framing(req, h)
	w.fields(req.Header, true)
	if h.AcceptGzip {
		w.field("Accept-Encoding", "gzip")
	}
	if h.NoKeepAlive {
		w.field("Connection", "close")
	}
	if h.ProxyAuthorization != "" {
		w.field("Proxy-Authorization", h.ProxyAuthorization)
	}
	return append(w.dst, "\r\n"...)
}

// AppendTrailer appends the fields of a trailer section, without the empty line that ends it.
func AppendTrailer(dst []byte, t http.Header) []byte {
	w := fieldWriter{dst: dst}
	w.fields(t, false)
	return w.dst
}

// AppendChunkSize appends the line that begins a chunk of n bytes.
func AppendChunkSize(dst []byte, n int) []byte {
	return append(strconv.AppendInt(dst, int64(n), 16), "\r\n"...)
}

// A fieldWriter appends header fields.
type fieldWriter struct {
	dst   []byte
	wrote func(name string, values []string)
}

func (w *fieldWriter) field(name, value string) {
	w.line(name, value)
	if w.wrote != nil {
		w.wrote(name, []string{value})
	}
}

func (w *fieldWriter) line(name, value string) {
	w.dst = append(w.dst, name...)
	w.dst = append(w.dst, ": "...)
	begin := len(w.dst)
	w.dst = append(w.dst, trim(value)...)
	for i := begin; i < len(w.dst); i++ {
		if c := w.dst[i]; c == '\n' || c == '\r' {
			w.dst[i] = ' ' // the transport refuses such values; this is the second lock
		}
	}
	w.dst = append(w.dst, "\r\n"...)
}

// framing appends Connection, Content-Length or Transfer-Encoding, and the announcement of the trailer.
func (w *fieldWriter) framing(req *http.Request, h *Head) {
	if h.Close && !WantsClose(req.Header) {
		w.field("Connection", "close")
	}
	switch {
	case h.Chunked:
		w.field("Transfer-Encoding", "chunked")
	case h.ContentLength >= 0:
		w.dst = append(w.dst, "Content-Length: "...)
		begin := len(w.dst)
		w.dst = strconv.AppendInt(w.dst, h.ContentLength, 10)
		if w.wrote != nil {
			w.wrote("Content-Length", []string{string(w.dst[begin:])})
		}
		w.dst = append(w.dst, "\r\n"...)
	}
	if h.Chunked && len(req.Trailer) > 0 {
		names := make([]string, 0, len(req.Trailer))
		for name := range req.Trailer {
			names = append(names, http.CanonicalHeaderKey(name))
		}
		slices.Sort(names)
		w.field("Trailer", strings.Join(names, ","))
	}
}

// WantsClose reports whether a request's header ends its connection. Like http.Transport it looks at the first Connection field.
func WantsClose(h http.Header) bool {
	first := h["Connection"]
	return len(first) > 0 && httpguts.HeaderValuesContainsToken(first[:1], "close")
}

// A headerField is one entry of a header.
type headerField struct {
	name   string
	values []string
}

// fields appends the fields of h by name; without those that AppendHead writes itself if own says so.
func (w *fieldWriter) fields(h http.Header, own bool) {
	var storage [32]headerField
	sorted := storage[:0]
	for name, values := range h {
		if own && writtenAlready(name) || !httpguts.ValidHeaderFieldName(name) {
			continue
		}
		sorted = append(sorted, headerField{name, values})
	}
	slices.SortFunc(sorted, func(a, b headerField) int { return strings.Compare(a.name, b.name) })
	for _, f := range sorted {
		for _, v := range f.values {
			w.line(f.name, v)
		}
		if w.wrote != nil && len(f.values) > 0 {
			w.wrote(f.name, f.values)
		}
	}
}

// writtenAlready reports whether AppendHead decides on a field itself.
func writtenAlready(name string) bool {
	switch name {
	case "Host", "User-Agent", "Content-Length", "Transfer-Encoding", "Trailer":
		return true
	}
	return false
}
