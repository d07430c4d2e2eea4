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
	NoBody     Framing = iota // there is no body, or it is empty
	Length                    // Content-Length bytes, at least one
	Chunked                   // by the chunked coding
	UntilClose                // by the end of the connection
)

// ResponseFraming tells how the body of a response to a request with that method is delimited, and whether the
// connection may carry another exchange after it. It sets the response's ContentLength, TransferEncoding, Close and
// Trailer (the announced names, with nil values) and takes out of its Header what http.ReadResponse takes out:
// Transfer-Encoding always; Trailer and Content-Length where the body is chunked; Connection where it says close. It is
// called once, on what ParseHead filled in. A length or coding that cannot be trusted is a *MalformedError.
//
// It decides as http.ReadResponse does, but keepAlive is false in more cases, since an attacker may have made the peers
// disagree on where the next response begins (RFC 9112 section 11.1):
//
//	Transfer-Encoding and Content-Length in one response      section 6.3: it may be smuggling
//	Transfer-Encoding in HTTP/1.0                             section 6.1: close the connection
//	a 204 that announces a body                               RFC 9110 section 8.6, RFC 9112 section 6.1: it must not
//
// and a 2xx answer to CONNECT is UntilClose whatever lengths it names: what follows its head is the tunnel (section
// 6.3). A 101 is NoBody without keepAlive: what follows belongs to the other protocol.
func ResponseFraming(method string, resp *http.Response) (f Framing, keepAlive bool, err error) {
	h := resp.Header
	resp.Close = takeClose(resp)
	resp.TransferEncoding, resp.Trailer = nil, nil
	if method == http.MethodConnect && resp.StatusCode/100 == 2 {
		delete(h, "Transfer-Encoding")
		resp.ContentLength, resp.Close = -1, true
		return UntilClose, false, nil
	}
	coded, chunked, err := takeCoding(resp)
	if err != nil {
		return 0, false, err
	}
	if chunked {
		resp.TransferEncoding = []string{"chunked"}
	}
	length, err := contentLength(h)
	if err != nil {
		return 0, false, err
	}
	f, resp.ContentLength = frame(method, resp.StatusCode, chunked, length)
	if f == Chunked {
		delete(h, "Content-Length")
	}
	if resp.Trailer, err = takeTrailer(h, chunked); err != nil {
		return 0, false, err
	}
	if f == UntilClose {
		resp.Close = true
	}
	keepAlive = !resp.Close && resp.StatusCode != http.StatusSwitchingProtocols
	switch {
	case coded && (length >= 0 || resp.ProtoMinor == 0):
		keepAlive = false
	case resp.StatusCode == http.StatusNoContent && (coded || length > 0):
		keepAlive = false
	}
	return f, keepAlive, nil
}

// announcesBody reports whether an informational response says that it has a body, which it has not and must not say (RFC 9110 section
// 8.6, RFC 9112 section 6.1): who believes it does not see the next response where we do.
func announcesBody(resp *http.Response) bool {
	length := resp.Header["Content-Length"]
	return resp.Header["Transfer-Encoding"] != nil || len(length) > 0 && !(len(length) == 1 && length[0] == "0")
}

// frame follows the list in RFC 9112 section 6.3. length is that of the Content-Length field, -1 without one.
// contentLength is what Response.ContentLength is to be: what a HEAD would have brought as a GET, otherwise what the
// body has, -1 if unknown.
func frame(method string, status int, chunked bool, length int64) (f Framing, contentLength int64) {
	switch {
	case method == http.MethodHead:
		return NoBody, length
	case status/100 == 1, status == http.StatusNoContent, status == http.StatusNotModified:
		return NoBody, 0
	case chunked:
		return Chunked, -1
	case length < 0:
		return UntilClose, -1
	case length == 0:
		return NoBody, 0
	}
	return Length, length
}

// takeClose reports whether the server ends the connection after the response (RFC 9112 section 9.3), and removes a
// Connection field that said so.
func takeClose(resp *http.Response) bool {
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

// takeCoding removes the Transfer-Encoding and reports whether there was one, and whether it frames the body.
// "chunked" alone is accepted, once: every list is an occasion for two parsers to disagree. HTTP/1.0 knows no
// codings, there it is ignored (RFC 9112 section 6.1).
func takeCoding(resp *http.Response) (coded, chunked bool, err error) {
	codings, coded := resp.Header["Transfer-Encoding"]
	if !coded {
		return false, false, nil
	}
	delete(resp.Header, "Transfer-Encoding")
	switch {
	case resp.ProtoMinor == 0:
		return true, false, nil
	case len(codings) != 1:
		return true, false, malformed("framing", "%d Transfer-Encoding fields", len(codings))
	case !equalFold(codings[0], "chunked"):
		return true, false, malformed("framing", "a Transfer-Encoding other than chunked")
	}
	return true, true, nil
}

// contentLength returns the Content-Length, -1 if there is none. Equal ones are merged into one; different ones, and
// anything but digits, are refused (RFC 9112 section 6.3).
func contentLength(h http.Header) (int64, error) {
	values := h["Content-Length"]
	if len(values) == 0 {
		return -1, nil
	}
	for _, v := range values[1:] {
		if v != values[0] {
			return 0, malformed("framing", "Content-Length fields that differ")
		}
	}
	if len(values) > 1 {
		h["Content-Length"] = values[:1:1]
	}
	n, err := strconv.ParseUint(values[0], 10, 63)
	if err != nil {
		return 0, malformed("framing", "a Content-Length that is not a number of bytes")
	}
	return int64(n), nil
}

// takeTrailer removes the Trailer field of a chunked response and returns the names in it, with nil values; nil if
// there are none. Without chunks there is no place for a trailer, and the field stays.
func takeTrailer(h http.Header, chunked bool) (http.Header, error) {
	if !chunked {
		return nil, nil
	}
	values, ok := h["Trailer"]
	if !ok {
		return nil, nil
	}
	delete(h, "Trailer")
	var trailer http.Header
	for _, list := range values {
		for name := range strings.SplitSeq(list, ",") {
			name = http.CanonicalHeaderKey(strings.Trim(name, " \t"))
			switch {
			case name == "":
				continue
			case FramesMessage(name):
				return nil, malformed("framing", "Trailer announces %s", name)
			case trailer == nil:
				trailer = make(http.Header)
			}
			trailer[name] = nil
		}
	}
	return trailer, nil
}

// FramesMessage reports whether a field delimits messages, however its name is spelled, which keeps it out of trailers (RFC 9110
// section 6.5.1).
func FramesMessage(name string) bool {
	switch http.CanonicalHeaderKey(name) {
	case "Transfer-Encoding", "Trailer", "Content-Length":
		return true
	}
	return false
}
