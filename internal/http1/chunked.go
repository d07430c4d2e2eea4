package http1

import (
	"bytes"
	"errors"
	"maps"
	"net/http"
)

// ErrShort tells that the bytes end within an element of the framing: more of them are wanted.
var ErrShort = errors.New("http1: framing element is not complete")

// The limits are those of net/http.
const (
	maxChunkLine  = 4096      // bytes of a chunk-size line, its extensions and CRLF included
	maxSizeDigits = 16        // of a chunk size, leading zeros included
	maxChunkSize  = 1<<62 - 1 // twice that is still an int64
	freeFraming   = 16        // bytes of framing per chunk that are never too much
	maxExcess     = 16 << 10  // bytes of framing beyond freeFraming and twice the data, over a whole body
)

// A ChunkDecoder takes the framing off a chunked body (RFC 9112 section 7.1). It looks at bytes that the caller holds
// and keeps none of them; only DecodeAll moves them. The zero value is at the beginning of a body. It is not for
// concurrent use.
//
//	state     next in the bytes                left by
//	atSize    a chunk-size line                Frame; to atTrailer if the size is 0
//	inData    Remaining data bytes             Take of the last one
//	atDataEnd the CRLF behind them             Frame, to atSize
//	atTrailer the trailer section              Frame
//	atEnd     what follows the body            -
//
// It accepts what net/http does, but not:
//
//	refused                                              why
//	a chunk size of 2^63 or more                         it wraps around in net/http
//	a control character other than HTAB in an extension  RFC 9112 section 7.1.1
//	a bare LF where the trailer section ends             net/http waits for CRLF CRLF, then reads up to the bare LF all
//	                                                     the same, and takes what is between for the next response
//	trailer fields as ParseHead refuses them             as there
//
// Like net/http it accepts white space behind a chunk's size, which old servers pad with, though RFC 9112 has none
// there, and refuses it before an extension.
type ChunkDecoder struct {
	remaining int64
	excess    int64 // of framing over what the data warrants, never negative
	state     chunkState
	lax       bool
	trailer   http.Header
}

type chunkState uint8

const (
	atSize chunkState = iota
	inData
	atDataEnd
	atTrailer
	atEnd
)

// Remaining returns how many bytes of data come next; 0 where framing comes next, and once Done.
func (d *ChunkDecoder) Remaining() int64 { return d.remaining }

// Take notes that the caller used n of the Remaining bytes. It panics if there are not so many.
func (d *ChunkDecoder) Take(n int64) {
	if n < 0 || n > d.remaining {
		panic("http1: Take of more than Remaining")
	}
	d.remaining -= n
	if d.remaining == 0 && d.state == inData {
		d.state = atDataEnd
	}
}

// Done reports whether the body has ended, its trailer section included.
func (d *ChunkDecoder) Done() bool { return d.state == atEnd }

// Trailer returns the fields of the trailer section, announced or not, once Done; nil if there were none. Fields that
// delimit messages are left out, as RFC 9110 section 6.5.1 has it.
func (d *ChunkDecoder) Trailer() http.Header { return d.trailer }

// Lax reports whether the trailer section was one that ParseHead calls lax, once Done.
func (d *ChunkDecoder) Lax() bool { return d.lax }

// Frame consumes the framing at the beginning of b and returns its length n. Afterwards
//
//   - Remaining tells how many bytes of data follow in or behind b[n:], or
//   - Done is true, and b[n:] is no part of the body, or
//   - err is ErrShort: b[n:] ends within an element; call again with the same bytes and more, or
//   - err is a *MalformedError, or an *Error for more than MaxFields trailer fields, and d is of no more use.
//
// A chunk-size line takes at most 4,096 bytes. The trailer section must come in one piece, and only the caller bounds
// it: give at least 8 KiB before giving up. Where data comes next, or once Done, Frame does nothing.
func (d *ChunkDecoder) Frame(b []byte) (n int, err error) {
	for {
		used := 0
		switch d.state {
		case atSize:
			used, err = d.readSize(b[n:])
		case atDataEnd:
			used, err = d.readDataEnd(b[n:])
		case atTrailer:
			used, err = d.readTrailer(b[n:])
		default:
			return n, nil
		}
		if err != nil {
			return n, err
		}
		n += used
	}
}

func (d *ChunkDecoder) readDataEnd(b []byte) (int, error) {
	switch {
	case len(b) >= 2 && b[0] == '\r' && b[1] == '\n':
		d.state = atSize
		return 2, nil
	case len(b) == 0, len(b) == 1 && b[0] == '\r':
		return 0, ErrShort
	}
	return 0, malformed("chunked body", "no CRLF behind the data of a chunk")
}

// readSize reads a chunk-size line. One that is wrong is judged when it is whole or too long: of a line that was cut the cut is
// what went wrong.
func (d *ChunkDecoder) readSize(b []byte) (int, error) {
	n, err := d.parseSize(b)
	if err != nil && len(b) < maxChunkLine && bytes.IndexByte(b, '\n') < 0 {
		return 0, ErrShort
	}
	return n, err
}

// parseSize parses a chunk-size line. A bare LF does not end it, unlike lines elsewhere.
func (d *ChunkDecoder) parseSize(b []byte) (int, error) {
	var size uint64
	n := 0
	for n < len(b) {
		digit := hexDigit(b[n])
		if digit > 0xf {
			break
		}
		if n == maxSizeDigits {
			return 0, malformed("chunked body", "chunk size of more than %d digits", maxSizeDigits)
		}
		size = size<<4 | uint64(digit)
		n++
	}
	switch {
	case n == len(b):
		return 0, ErrShort
	case n == 0:
		return 0, malformed("chunked body", "chunk size begins with byte %#02x", b[0])
	case size > maxChunkSize:
		return 0, malformed("chunked body", "chunk size of %d", size)
	}
	if len(b) < n+2 || b[n] != '\r' || b[n+1] != '\n' {
		end, err := extension(b, n)
		if err != nil {
			return 0, err
		}
		n = end
	}
	excess := max(d.excess+int64(n)+2-freeFraming-2*int64(size), 0)
	if excess > maxExcess {
		return 0, malformed("chunked body", "too much framing for the data")
	}
	d.excess, d.remaining, d.state = excess, int64(size), inData
	if size == 0 {
		d.state = atTrailer
	}
	return n + 2, nil
}

// hexDigit returns the value of a hexadecimal digit, more than 15 for any other byte.
func hexDigit(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10
	}
	return 0xff
}

// extension returns where the CRLF stands that ends the chunk-size line b, whose size ends at b[n]: behind white
// space or an extension, which is ignored (RFC 9112 section 7.1.1).
func extension(b []byte, n int) (end int, err error) {
	line := b[:min(len(b), maxChunkLine)]
	begin := n
	if line[n] != ';' {
		for n < len(line) && isSpace(line[n]) {
			n++
		}
	} else {
		n = control(line, n)
	}
	switch {
	case n < len(line)-1 && line[n] == '\r' && line[n+1] == '\n':
		return n, nil
	case len(line) == maxChunkLine && n >= len(line)-1:
		return 0, malformed("chunked body", "chunk-size line longer than %d bytes", maxChunkLine)
	case n == len(line), n == len(line)-1 && line[n] == '\r':
		return 0, ErrShort
	case line[n] == '\n':
		return 0, malformed("chunked body", "chunk-size line ends with a bare LF")
	case line[n] == '\r':
		return 0, malformed("chunked body", "bare CR in a chunk-size line")
	case line[begin] == ';':
		return 0, malformed("chunked body", "control character %#02x in a chunk extension", line[n])
	}
	return 0, malformed("chunked body", "byte %#02x behind a chunk size", line[n])
}

// readTrailer reads the trailer section (RFC 9112 section 7.1.2), which mostly is an empty line.
func (d *ChunkDecoder) readTrailer(b []byte) (int, error) {
	n := HeadEnd(b, 0)
	switch {
	case n < 0:
		return 0, ErrShort
	case n == len("\r\n"):
		d.state = atEnd
		return n, nil
	case !bytes.HasSuffix(b[:n], []byte("\r\n\r\n")):
		return 0, malformed("chunked body", "trailer section ends with a bare LF")
	}
	// The bytes are not ours to rewrite.
	section := bytes.Clone(b[:n])
	fields, lax, err := scanFields(nil, section, 0)
	if err == ErrHeadFields {
		err = errTrailerFields
	}
	if err != nil {
		return 0, err
	}
	trailer := makeHeader(fields, string(section), nil)
	maps.DeleteFunc(trailer, func(name string, _ []string) bool { return FramesMessage(name) })
	if len(trailer) > 0 {
		d.trailer = trailer
	}
	d.lax = lax
	d.state = atEnd
	return n, nil
}

// DecodeAll takes the rest of a body out of b, in place: body is its data, which lies at the beginning of b or
// somewhere in it, consumed how much of b it took with its framing. d is Done then. Where the end is not in b, or the
// body is malformed, which err tells, ok is false, and neither b nor d has changed.
func (d *ChunkDecoder) DecodeAll(b []byte) (body []byte, consumed int, ok bool, err error) {
	end := *d
	chunks, first, size := 0, 0, 0 // how many have data in b; where the first lies; of all together
	for !end.Done() {
		n, err := end.Frame(b[consumed:])
		if err == ErrShort {
			return nil, 0, false, nil
		}
		if err != nil {
			return nil, 0, false, err
		}
		consumed += n
		data := end.Remaining()
		if data > int64(len(b)-consumed) {
			return nil, 0, false, nil
		}
		if data > 0 {
			if chunks == 0 {
				first = consumed
			}
			chunks++
			size += int(data)
			end.Take(data)
			consumed += int(data)
		}
	}
	body = b[first : first+size]
	if chunks > 1 {
		d.join(b, body, first)
	}
	*d = end
	return body, consumed, true, nil
}

// join moves the data of the chunks in b, which were checked, together in body, which begins where the first one's
// lies.
func (d *ChunkDecoder) join(b, body []byte, first int) {
	_, _ = d.Frame(b[:first])
	at, filled := first, 0
	for {
		n := copy(body[filled:], b[at:at+int(d.Remaining())])
		d.Take(int64(n))
		filled += n
		if filled == len(body) {
			return
		}
		at += n
		n, _ = d.Frame(b[at:])
		at += n
	}
}
