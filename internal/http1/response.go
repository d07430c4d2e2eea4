package http1

import (
	"bytes"
	"io"
	"net/http"
)

// HeadEnd returns the index behind the empty line that ends the head at the beginning of b, or -1 if it is not there
// yet. from is the length of b when an earlier call found none: the search goes on there. Lines end with CRLF or with a
// bare LF, which RFC 9112 section 2.2 lets a recipient accept and net/http does. An empty line at the very beginning is
// a head too, which ParseHead refuses at once, instead of waiting for more.
func HeadEnd(b []byte, from int) int {
	if from < 2 {
		if n := emptyLine(b); n > 0 {
			return n
		}
	}
	i := max(from-2, 0) // the end of a line and a CR may have been there
	for {
		lf := bytes.IndexByte(b[i:], '\n')
		if lf < 0 {
			return -1
		}
		i += lf + 1
		if n := emptyLine(b[i:]); n > 0 {
			return i + n
		}
	}
}

// judgeFirstLine refuses the beginning of a head whose status line is there and not in order: a peer that speaks another
// protocol may wait for our next word, and the empty line never come. from is how many bytes of b were judged before.
func judgeFirstLine(b []byte, from int) error {
	if bytes.IndexByte(b[from:], '\n') < 0 || bytes.IndexByte(b[:from], '\n') >= 0 {
		return nil
	}
	_, _, _, err := parseStatusLine(b, new(http.Response))
	return err
}

// cutHead is what is wrong with a head that ended after b: without a word of HTTP, as a TLS server's alert is, it is another protocol's.
func cutHead(b []byte) error {
	const begins = "HTTP/"
	if n := min(len(b), len(begins)); string(b[:n]) == begins[:n] {
		return io.ErrUnexpectedEOF
	}
	_, _, _, err := parseStatusLine(b, new(http.Response))
	return err
}

// ParseHead parses b, which is exactly one head as HeadEnd finds it, into resp: Proto, ProtoMajor, ProtoMinor, Status,
// StatusCode and a new Header; other fields stay as they are. On an error, which is a *MalformedError, or an *Error for more than
// MaxFields fields, resp may be partly filled.
//
// values is storage for the header's values, used from its length to its capacity before any is allocated. Nothing in
// resp refers to b, but b is scratch: names are made canonical and folds undone in it.
//
// It accepts what http.ReadResponse accepts and yields the same, except for:
//
//	refused                                       why
//	a version other than HTTP/1.0 to HTTP/1.9     RFC 9112 section 2.3: another major version is another syntax
//	a status code with a sign                     RFC 9112 section 4: three digits
//	a status code below 100                       RFC 9110 section 15: no such class
//	a control character in the reason phrase      RFC 9112 section 4; section 2.2 for a bare CR
//	a space between a field's name and its colon  RFC 9112 section 5.1
//	more than MaxFields fields                    RFC 9110 section 5.4: each costs far more memory than its bytes
//
//	different                                     why
//	no white space at a value's end, not even     RFC 9110 section 5.5
//	where an empty line was folded into it
//
// lax tells that two recipients may see different fields in b, each with reason: a line ends with a bare LF (RFC 9112 section 2.2) or is
// folded (section 5.2), or a field's name has a space in it. What follows such a head may not begin where the server, or somebody before
// it, means it to.
func ParseHead(b []byte, resp *http.Response, values []string) (lax bool, err error) {
	status, end, next, err := parseStatusLine(b, resp)
	if err != nil {
		return false, err
	}
	var usual [usualFields]field
	fields, lax, err := scanFields(usual[:0], b, next)
	if err != nil {
		return false, err
	}
	lax = lax || next == end+1
	head := string(b)
	if resp.Proto == "" {
		resp.Proto = head[:len("HTTP/1.x")]
	}
	resp.Status = head[status:end]
	resp.Header = makeHeader(fields, head, values)
	if pragma := resp.Header["Pragma"]; len(pragma) > 0 && pragma[0] == "no-cache" && resp.Header["Cache-Control"] == nil {
		resp.Header["Cache-Control"] = []string{"no-cache"} // as http.ReadResponse does, after RFC 7234 section 5.4
	}
	return lax, nil
}

// parseStatusLine parses "HTTP/1.1 200 OK" (RFC 9112 section 4). It sets the code and the version, with Proto "" where
// that is an unusual one, and returns where the status begins and ends, and where the next line begins. The reason
// phrase may be missing, and so may the space before it.
func parseStatusLine(b []byte, resp *http.Response) (status, end, next int, err error) {
	const version = "HTTP/1."
	end, next, ok := lineEnd(b, 0)
	line := b[:end]
	switch {
	case len(line) <= len(version)+1 || line[len(version)+1] != ' ' || string(line[:5]) != version[:5]:
		first, _, _ := bytes.Cut(b, []byte("\n"))
		return 0, 0, 0, malformed("status line", "%q", clip(bytes.TrimSuffix(first, []byte("\r"))))
	case string(line[:len(version)]) != version || !isDigit(line[len(version)]):
		return 0, 0, 0, malformed("status line", "version %q", clip(line[:len(version)+1]))
	case !ok:
		return 0, 0, 0, malformed("status line", "control character behind %q", clip(line))
	}
	resp.ProtoMajor, resp.ProtoMinor = 1, int(line[len(version)]-'0')
	switch resp.ProtoMinor {
	case 0:
		resp.Proto = "HTTP/1.0"
	case 1:
		resp.Proto = "HTTP/1.1"
	default:
		resp.Proto = ""
	}
	status = len(version) + 2
	for status < end && line[status] == ' ' {
		status++
	}
	code := line[status:]
	if len(code) < 3 || code[0] == '0' || !isDigit(code[0]) || !isDigit(code[1]) || !isDigit(code[2]) || len(code) > 3 && code[3] != ' ' {
		return 0, 0, 0, malformed("status line", "status code in %q", clip(line))
	}
	resp.StatusCode = int(code[0]-'0')*100 + int(code[1]-'0')*10 + int(code[2]-'0')
	return status, end, next, nil
}
