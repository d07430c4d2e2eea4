package http1

import (
	"bytes"
	"errors"
	"net/http"
)

// ErrShort tells that the bytes end within an element, which wants more of them.
var ErrShort = errors.New("http1: element is not complete yet")

const (
	maxChunkLine = 4096     // bytes of a chunk-size line, extensions included
	chunkExcess  = 16 << 10 // framing bytes beyond what the data warrants
)

// A ChunkDecoder takes the framing off a chunked body (RFC 9112 section 7.1). It looks at bytes that the caller holds and
// never copies data. The zero value is at the beginning of a body.
type ChunkDecoder struct {
	remaining int64 // data bytes of the chunk that are still to come
	excess    int64
	state     chunkState
	trailer   http.Header
}

type chunkState uint8

const (
	atSize    chunkState = iota // before a chunk-size line, or in the data before it
	atDataEnd                   // before the CRLF behind a chunk's data
	atTrailer                   // before or in the trailer section
	atEnd
)

// Remaining returns how many data bytes come next.
func (d *ChunkDecoder) Remaining() int64 { return d.remaining }

// Take notes that n of the remaining data bytes were used.
func (d *ChunkDecoder) Take(n int64) {
	d.remaining -= n
	if d.remaining == 0 {
		d.state = atDataEnd
	}
}

// Done reports whether the body has ended, its trailer section included.
func (d *ChunkDecoder) Done() bool { return d.state == atEnd }

// Trailer returns the trailer fields, once Done; nil if there were none. Fields that delimit messages are left out.
func (d *ChunkDecoder) Trailer() http.Header { return d.trailer }

// Frame consumes the framing at the beginning of b and returns its length. Afterwards either data comes next, or the body is
// done, or the error is ErrShort: the rest of b is to be given again with more bytes. The trailer section must
// come in one piece: give at least 8 KiB before giving up.
func (d *ChunkDecoder) Frame(b []byte) (n int, err error) {
	for err == nil && d.remaining == 0 && d.state != atEnd {
		var used int
		switch d.state {
		case atDataEnd:
			used, err = d.dataEnd(b[n:])
		case atSize:
			used, err = d.size(b[n:])
		case atTrailer:
			used, err = d.end(b[n:])
		}
		n += used
	}
	return n, err
}

func (d *ChunkDecoder) dataEnd(b []byte) (int, error) {
	switch {
	case len(b) >= 2 && b[0] == '\r' && b[1] == '\n':
		d.state = atSize
		return 2, nil
	case len(b) == 0, len(b) == 1 && b[0] == '\r':
		return 0, ErrShort
	}
	return 0, malformed("chunked body", "no CRLF behind a chunk's data")
}

// size reads a chunk-size line. Neither a bare LF ends it nor may a bare CR stand in it.
func (d *ChunkDecoder) size(b []byte) (int, error) {
	lf := bytes.IndexByte(b, '\n')
	if lf < 0 {
		if len(b) > maxChunkLine {
			return 0, malformed("chunked body", "chunk-size line longer than %d bytes", maxChunkLine)
		}
		return 0, ErrShort
	}
	if lf > maxChunkLine {
		return 0, malformed("chunked body", "chunk-size line longer than %d bytes", maxChunkLine)
	}
	if lf == 0 || b[lf-1] != '\r' {
		return 0, malformed("chunked body", "chunk-size line ends with a bare LF")
	}
	line := b[:lf-1]
	digits, err := hexDigits(line)
	if err != nil {
		return 0, err
	}
	var size int64
	for _, c := range line[:digits] {
		size = size<<4 | int64(hexValue(c))
	}
	// A server that sends byte by byte is welcome; one that sends little but framing is not.
	d.excess = max(d.excess+int64(len(line))+2-16-2*size, 0)
	if d.excess > chunkExcess {
		return 0, malformed("chunked body", "too much framing for its data")
	}
	d.remaining = size
	if size == 0 {
		d.state = atTrailer
	}
	return lf + 1, nil
}

// hexDigits returns how many digits of the size begin the line, and checks what follows them: white space, or an extension, in which
// anything goes but a CR.
func hexDigits(line []byte) (int, error) {
	n := 0
	for n < len(line) && hexValue(line[n]) >= 0 {
		n++
	}
	rest := line[n:]
	for len(rest) > 0 && isSpace(rest[0]) {
		rest = rest[1:]
	}
	switch {
	case n == 0:
		return 0, malformed("chunked body", "chunk size is not a hexadecimal number")
	case n > 15:
		return 0, malformed("chunked body", "chunk size too large")
	case len(rest) > 0 && rest[0] != ';':
		return 0, malformed("chunked body", "chunk size is not a hexadecimal number")
	case bytes.IndexByte(rest, '\r') >= 0:
		return 0, malformed("chunked body", "bare CR in a chunk-size line")
	}
	return n, nil
}

func hexValue(c byte) int8 {
	switch {
	case '0' <= c && c <= '9':
		return int8(c - '0')
	case 'a' <= c && c <= 'f':
		return int8(c - 'a' + 10)
	case 'A' <= c && c <= 'F':
		return int8(c - 'A' + 10)
	}
	return -1
}

// end reads the trailer section (RFC 9112 section 7.1.2), which mostly is an empty line.
func (d *ChunkDecoder) end(b []byte) (int, error) {
	if len(b) >= 2 && b[0] == '\r' && b[1] == '\n' {
		d.state = atEnd
		return 2, nil
	}
	if len(b) > 0 && b[0] == '\n' {
		return 0, malformed("chunked body", "its end is a bare LF")
	}
	n := bytes.Index(b, []byte("\r\n\r\n"))
	if n < 0 {
		return 0, ErrShort
	}
	n += len("\r\n\r\n")
	p := fieldParser{header: http.Header{}}
	if err := p.parse(string(b[:n])); err != nil {
		return 0, err
	}
	for name := range p.header {
		if framingField(name) {
			delete(p.header, name)
		}
	}
	if len(p.header) > 0 {
		d.trailer = p.header
	}
	d.state = atEnd
	return n, nil
}

// DecodeAll decodes a body that lies in b from its beginning to its end, in place: body is what b begins with
// afterwards, and consumed how much of b it took. Where the end is not in b, or the body is malformed, ok is false and
// neither b nor d has changed.
func (d *ChunkDecoder) DecodeAll(b []byte) (body []byte, consumed int, ok bool, err error) {
	scout := *d
	for !scout.Done() {
		n, err := scout.Frame(b[consumed:])
		if err == ErrShort {
			return nil, 0, false, nil
		}
		if err != nil {
			return nil, 0, false, err
		}
		consumed += n
		size := scout.Remaining()
		if size > int64(len(b)-consumed) {
			return nil, 0, false, nil
		}
		if size > 0 {
			scout.Take(size)
			consumed += int(size)
		}
	}
	// It is all here; now the data moves together.
	at, end := 0, 0
	for !d.Done() {
		n, _ := d.Frame(b[at:])
		at += n
		if size := int(d.Remaining()); size > 0 {
			end += copy(b[end:], b[at:at+size])
			at += size
			d.Take(int64(size))
		}
	}
	return b[:end], consumed, true, nil
}
