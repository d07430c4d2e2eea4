package http1

import (
	"net/http"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// A Framing is how the end of a response's body is told (RFC 9112 section 6.3).
type Framing uint8

const (
	NoBody     Framing = iota // there is none
	Length                    // by Content-Length
	Chunked                   // by the chunked coding
	UntilClose                // by the end of the connection
)

var chunkedCoding = []string{"chunked"}

// ResponseFraming tells how the body of a response to method is delimited, and whether the connection goes on after
// it. It sets the response's ContentLength, TransferEncoding, Close and Trailer, and takes out of its header what http.ReadResponse takes out.
//
// A response with both Transfer-Encoding and Content-Length, or with Transfer-Encoding in HTTP/1.0, is read as
// http.ReadResponse reads it, but its connection is not used again (RFC 9112 section 6.1 and 6.3).
func ResponseFraming(method string, resp *http.Response) (f Framing, keepAlive bool, err error) {
	h := resp.Header
	resp.Close = closes(resp)
	coding, hasCoding := h["Transfer-Encoding"]
	chunked := false
	if hasCoding {
		delete(h, "Transfer-Encoding")
		if resp.ProtoMinor > 0 {
			if len(coding) != 1 || !strings.EqualFold(coding[0], "chunked") {
				return 0, false, malformed("framing", "a Transfer-Encoding other than chunked")
			}
			chunked = true
		}
	}
	doubtful := hasCoding && (resp.ProtoMinor == 0 || h["Content-Length"] != nil)
	length, err := contentLength(h)
	if err != nil {
		return 0, false, err
	}
	if chunked {
		resp.TransferEncoding = chunkedCoding[:1:1]
	}
	bodiless := method == http.MethodHead || resp.StatusCode < 200 || resp.StatusCode == http.StatusNoContent || resp.StatusCode == http.StatusNotModified
	f = frame(bodiless, chunked, length)
	switch {
	case method == http.MethodHead:
		resp.ContentLength = length
	case bodiless:
		resp.ContentLength = 0
	case chunked:
		delete(h, "Content-Length")
		resp.ContentLength = -1
	default:
		resp.ContentLength = length
	}
	if f == UntilClose || !chunked && length < 0 && resp.StatusCode >= 200 && resp.StatusCode != http.StatusNoContent && resp.StatusCode != http.StatusNotModified && method != http.MethodHead {
		resp.Close = true
	}
	if chunked {
		if resp.Trailer, err = declaredTrailer(h); err != nil {
			return 0, false, err
		}
	}
	return f, !resp.Close && !doubtful, nil
}

func frame(bodiless, chunked bool, length int64) Framing {
	switch {
	case bodiless:
		return NoBody
	case chunked:
		return Chunked
	case length > 0:
		return Length
	case length == 0:
		return NoBody
	}
	return UntilClose
}

// closes reports whether the server ends the connection after the response (RFC 9112 section 9.3).
func closes(resp *http.Response) bool {
	connection := resp.Header["Connection"]
	hasClose := httpguts.HeaderValuesContainsToken(connection, "close")
	if resp.ProtoMinor == 0 {
		return hasClose || !httpguts.HeaderValuesContainsToken(connection, "keep-alive")
	}
	if hasClose {
		delete(resp.Header, "Connection")
	}
	return hasClose
}

// contentLength returns the Content-Length, -1 if there is none. Equal ones are merged into one; different ones, and
// anything but digits, are refused (RFC 9112 section 6.3).
func contentLength(h http.Header) (int64, error) {
	values := h["Content-Length"]
	if len(values) == 0 {
		return -1, nil
	}
	first := trim(values[0])
	for _, v := range values[1:] {
		if trim(v) != first {
			return 0, malformed("framing", "Content-Length fields that differ")
		}
	}
	if len(values) > 1 {
		h["Content-Length"] = []string{first}
	}
	n, err := strconv.ParseUint(first, 10, 63)
	if err != nil || first[0] == '+' {
		return 0, malformed("framing", "a Content-Length that is not a number")
	}
	return int64(n), nil
}

// declaredTrailer takes the Trailer field out of h and returns its names with nil values.
func declaredTrailer(h http.Header) (http.Header, error) {
	values, ok := h["Trailer"]
	if !ok {
		return nil, nil
	}
	delete(h, "Trailer")
	trailer := http.Header{}
	for _, v := range values {
		for name := range strings.SplitSeq(v, ",") {
			name = http.CanonicalHeaderKey(trim(name))
			switch {
			case name == "":
			case framingField(name):
				return nil, malformed("field Trailer", "it names %s", name)
			default:
				trailer[name] = nil
			}
		}
	}
	if len(trailer) == 0 {
		return nil, nil
	}
	return trailer, nil
}

// framingField reports whether a field is one that RFC 9110 section 6.5.1 keeps out of trailers because it delimits the message.
func framingField(name string) bool {
	return name == "Transfer-Encoding" || name == "Trailer" || name == "Content-Length"
}
