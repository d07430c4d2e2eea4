package http1

import (
	"bytes"
	"net/http"
	"strings"
)

// HeadEnd returns the index behind the empty line that ends the head at the beginning of b, or -1 if it is not there
// yet. from is the length of b when an earlier call found none; the search goes on there. Lines end with CRLF, or with a bare LF, which RFC 9112
// section 2.2 allows a recipient to accept.
func HeadEnd(b []byte, from int) int {
	i := max(from-2, 0) // the end of a line and a CR may lie before
	for {
		lf := bytes.IndexByte(b[i:], '\n')
		if lf < 0 {
			return -1
		}
		i += lf + 1
		switch {
		case i < len(b) && b[i] == '\n':
			return i + 1
		case i+1 < len(b) && b[i] == '\r' && b[i+1] == '\n':
			return i + 2
		}
	}
}

// ParseHead parses b, which is one whole head, into resp: Proto, Status and Header. It keeps the header's values in
// values as far as its capacity goes. Nothing in resp refers to b.
//
// What http.ReadResponse accepts is accepted, but for these, which RFC 9112 rules out:
//
//	a version other than HTTP/1.x                       section 2.3
//	a status code that is not 100 to 999                section 4
//	a control character in the reason phrase            section 4
//	white space between a field's name and its colon    section 5.1
func ParseHead(b []byte, resp *http.Response, values []string) error {
	head := string(b)
	line, fields := nextLine(head)
	if err := parseStatusLine(line, resp); err != nil {
		return err
	}
	p := fieldParser{header: make(http.Header, strings.Count(fields, "\n")), values: values}
	if err := p.parse(fields); err != nil {
		return err
	}
	resp.Header = p.header
	if pragma := p.header["Pragma"]; len(pragma) > 0 && pragma[0] == "no-cache" && p.header["Cache-Control"] == nil {
		p.header["Cache-Control"] = []string{"no-cache"} // RFC 9111 section 5.4, as http.ReadResponse does it
	}
	return nil
}

// parseStatusLine parses "HTTP/1.1 200 OK". The reason may be missing.
func parseStatusLine(line string, resp *http.Response) error {
	proto, status, ok := strings.Cut(line, " ")
	if !ok {
		return malformed("status line", "%q", clip(line))
	}
	switch {
	case proto == "HTTP/1.1":
		resp.Proto, resp.ProtoMajor, resp.ProtoMinor = "HTTP/1.1", 1, 1
	case len(proto) == len("HTTP/1.x") && proto[:7] == "HTTP/1." && isDigit(proto[7]):
		resp.Proto, resp.ProtoMajor, resp.ProtoMinor = proto, 1, int(proto[7]-'0')
	default:
		return malformed("status line", "version %q", clip(proto))
	}
	status = strings.TrimLeft(status, " ")
	code, _, _ := strings.Cut(status, " ")
	if len(code) != 3 || code[0] == '0' || !isDigit(code[0]) || !isDigit(code[1]) || !isDigit(code[2]) {
		return malformed("status line", "status code %q", clip(code))
	}
	if !validValue(status) {
		return malformed("status line", "control character in the reason phrase")
	}
	resp.Status = status
	resp.StatusCode = int(code[0]-'0')*100 + int(code[1]-'0')*10 + int(code[2]-'0')
	return nil
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
