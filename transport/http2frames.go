package transport

import "encoding/binary"

// Frames of HTTP/2 (RFC 9113 section 6), as far as they are looked at here.
const (
	frameData         = 0x0
	frameHeaders      = 0x1
	frameReset        = 0x3
	frameSettings     = 0x4
	frameGoAway       = 0x7
	frameContinuation = 0x9

	flagEndStream  = 0x1 // of DATA and HEADERS
	flagEndHeaders = 0x4 // of HEADERS and CONTINUATION

	settingMaxStreams = 0x3 // SETTINGS_MAX_CONCURRENT_STREAMS
)

const (
	frameHeadLen = 9
	settingLen   = 6
	goAwayLen    = 8                                       // of a GOAWAY's payload, without its debug data
	prefaceLen   = len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") // before a client's first frame (RFC 9113 section 3.4)
)

// A frameReader follows the frames in what goes one way over a connection, in pieces of any size. It judges nothing: bytes that
// are no frames are a fault that whoever speaks HTTP/2 finds.
type frameReader struct {
	skip int // bytes before the first frame
	head [frameHeadLen]byte
	have int // of head
	left int // of the payload
	part [goAwayLen]byte
	got  int // of part
}

// A frame is one that has passed, or one setting of it.
type frame struct {
	kind, flags uint8
	stream      uint32
	setting     bool            // one setting, in part; the frame has not ended
	part        [goAwayLen]byte // of SETTINGS and GOAWAY
}

// next takes bytes of p up to a frame's end, or a setting's, and returns what is left of p. It reports false when p ended before.
func (r *frameReader) next(p []byte) (f frame, rest []byte, ok bool) {
	if r.skip > 0 {
		n := min(r.skip, len(p))
		r.skip -= n
		p = p[n:]
	}
	if r.have < frameHeadLen {
		n := copy(r.head[r.have:], p)
		r.have += n
		p = p[n:]
		if r.have < frameHeadLen {
			return f, p, false
		}
		r.left, r.got = int(r.head[0])<<16|int(r.head[1])<<8|int(r.head[2]), 0
	}
	f.kind, f.flags = r.head[3], r.head[4]
	f.stream = binary.BigEndian.Uint32(r.head[5:]) &^ (1 << 31)
	wanted := 0
	switch {
	case r.left == 0:
	case f.kind == frameSettings:
		wanted = settingLen
	case f.kind == frameGoAway:
		wanted = goAwayLen
	}
	if r.got < wanted {
		n := copy(r.part[r.got:min(wanted, r.got+r.left)], p)
		r.got += n
		r.left -= n
		p = p[n:]
		if f.kind == frameSettings && r.got == settingLen {
			f.setting, f.part, r.got = true, r.part, 0
			return f, p, true
		}
	}
	n := min(r.left, len(p))
	if f.kind != frameSettings {
		r.left -= n
		p = p[n:]
	}
	if r.left > 0 {
		return f, p, false
	}
	r.have = 0
	f.part = r.part
	return f, p, true
}
