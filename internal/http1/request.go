package http1

import (
	"net/http"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// A Head is what was decided about the head of one request, besides the caller's fields. Target and Host are written as
// they are: who decides on them makes sure that they hold neither white space nor control characters.
type Head struct {
	Target        string // request-target (RFC 9112 section 3.2)
	Host          string // value of the Host field, which is always sent
	ContentLength int64  // value of Content-Length; negative: none
	Chunked       bool   // Transfer-Encoding: chunked instead of Content-Length, and the names of Request.Trailer in a Trailer field
	Close         bool   // Connection: close, unless the caller's header says so already

	// The fields below are sent behind the caller's.

	NoKeepAlive        bool   // Connection: close, unless said already or the request upgrades the connection
	AcceptGzip         bool   // Accept-Encoding: gzip
	ProxyAuthorization string // "": none
}

// AppendHead appends the request line and the header section of req, its empty line included, to dst: byte for byte
// what http.Transport sends, but for what decidedByHead and AppendTrailer say. These are Host, User-Agent (of several
// the first; none if that is "" or the list empty), framing, the caller's fields in the order of their names, and those
// that the transport adds. Line breaks in values become spaces; fields whose names are no tokens, and fields of the
// caller that the head decides on, are left out. req is not changed.
//
// wrote is told of each field after it was appended, as httptrace.ClientTrace.WroteHeaderField is; nil: nobody is told.
// Without it, nothing is allocated for up to 32 fields in the caller's header as long as dst has the capacity.
func AppendHead(dst []byte, req *http.Request, h *Head, wrote func(name string, values []string)) []byte {
	w := fieldWriter{dst: dst, wrote: wrote}
	w.dst = append(w.dst, method(req)...)
	w.dst = append(w.dst, ' ')
	w.dst = append(w.dst, h.Target...)
	w.dst = append(w.dst, " HTTP/1.1\r\n"...)
	w.field("Host", h.Host)
	w.userAgent(req.Header)
	saysClose := WantsClose(req.Header)
	if h.Close && !saysClose {
		w.field("Connection", "close")
	}
	switch {
	case h.Chunked:
		w.field("Transfer-Encoding", "chunked")
		w.announceTrailer(req.Trailer)
	case h.ContentLength >= 0:
		w.contentLength(h.ContentLength)
	}
	w.fields(req.Header, decidedByHead)
	if h.AcceptGzip {
		w.field("Accept-Encoding", "gzip")
	}
	if h.NoKeepAlive && !h.Close && !saysClose && !upgrades(req.Header) {
		w.field("Connection", "close")
	}
	if h.ProxyAuthorization != "" {
		w.callersField("Proxy-Authorization", h.ProxyAuthorization)
	}
	return append(w.dst, "\r\n"...)
}

// AppendTrailer appends the fields of a trailer section in the order of their names, without the empty line that ends
// it. Fields that delimit messages are left out (RFC 9110 section 6.5.1), as they are from the announcement. Control characters in values
// become spaces.
func AppendTrailer(dst []byte, t http.Header) []byte {
	w := fieldWriter{dst: dst, unchecked: true} // they may be set while the body is read
	w.fields(t, FramesMessage)
	return w.dst
}

// AppendChunkSize appends the line that begins a chunk of n bytes (RFC 9112 section 7.1).
func AppendChunkSize(dst []byte, n int) []byte {
	return append(strconv.AppendInt(dst, int64(n), 16), "\r\n"...)
}

// WantsClose reports whether a request's header asks for the end of its connection. Like http.Transport it looks at the
// first Connection field only, and takes spaces for separators too.
func WantsClose(h http.Header) bool {
	connection := h["Connection"]
	if len(connection) == 0 {
		return false
	}
	for token := range strings.FieldsFuncSeq(connection[0], func(r rune) bool { return r == ',' || r == ' ' || r == '\t' }) {
		if equalFold(token, "close") {
			return true
		}
	}
	return false
}

// upgrades reports whether a request's header asks for another protocol on its connection (RFC 9110 section 7.8).
func upgrades(h http.Header) bool {
	return h.Get("Upgrade") != "" && httpguts.HeaderValuesContainsToken(h["Connection"], "upgrade")
}

// decidedByHead reports whether a field of the caller gives way to what AppendHead writes itself. As in http.Transport, other spellings
// of User-Agent and Trailer do not. Those of what delimits the request or names its host do: the server would find two of it, and the
// one or the other end of the request (RFC 9112 section 6.2).
func decidedByHead(name string) bool {
	switch name {
	case "Host", "User-Agent", "Content-Length", "Transfer-Encoding", "Trailer":
		return true
	}
	switch len(name) {
	case len("host"):
		return equalFold(name, "host")
	case len("content-length"):
		return equalFold(name, "content-length")
	case len("transfer-encoding"):
		return equalFold(name, "transfer-encoding")
	}
	return false
}
