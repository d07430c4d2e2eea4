package http1

import "io"

// ReadHead reads from r until a head is there, whose end HeadEnd finds, and returns it with what came behind it. It is for who speaks
// HTTP/1.1 without a Conn. A head of more than limit bytes, with those of other heads that were read before it, and one whose first
// line is no status line, is an error, the latter as soon as that line is there.
func ReadHead(r io.Reader, limit, before int64) (head, rest []byte, err error) {
	left := limit - before
	b := make([]byte, 0, min(4<<10, left))
	for {
		if int64(len(b)) == left {
			return nil, nil, errHeadTooLarge(limit)
		}
		if len(b) == cap(b) {
			grown := make([]byte, len(b), min(2*int64(cap(b)), left))
			copy(grown, b)
			b = grown
		}
		n, err := ReadSomething(r.Read, b[len(b):cap(b)])
		searched := len(b)
		b = b[:searched+n]
		if end := HeadEnd(b, searched); end >= 0 {
			return b[:end], b[end:], nil
		}
		if malformed := judgeFirstLine(b, searched); malformed != nil {
			return nil, nil, malformed
		}
		if err != nil && len(b) > 0 {
			return nil, nil, UnexpectedEOF(err)
		}
		if err != nil {
			return nil, nil, err
		}
	}
}
