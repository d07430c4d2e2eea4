package transport

import "encoding/binary"

// Frames of HTTP/2 (RFC 9113 section 6), as far as they are looked at here.
const (
	frameData         = 0x0
	frameHeaders      = 0x1
	framePriority     = 0x2
	frameReset        = 0x3
	frameSettings     = 0x4
	frameGoAway       = 0x7
	frameWindowUpdate = 0x8
	frameContinuation = 0x9

	flagEndStream  = 0x1 // of DATA and HEADERS
	flagEndHeaders = 0x4 // of HEADERS and CONTINUATION

	settingMaxStreams = 0x3 // SETTINGS_MAX_CONCURRENT_STREAMS
	settingWindow     = 0x4 // SETTINGS_INITIAL_WINDOW_SIZE
)

const (
	frameHeadLen = 9
	settingLen   = 6
	updateLen    = 4                                       // of a WINDOW_UPDATE's payload
	goAwayLen    = 8                                       // of a GOAWAY's payload, without its debug data
	prefaceLen   = len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") // before a client's first frame (RFC 9113 section 3.4)
)

// A frameReader follows the frames in what goes one way over a connection, in pieces of any size. It judges nothing: bytes that
// are no frames are a fault that whoever speaks HTTP/2 finds.
type frameReader struct {
	skip int // bytes before the first frame
	head [frameHeadLen]byte
	have int // of head; all of it within a frame
	now  frame
	size int             // of its payload
	left int             // of that
	part [goAwayLen]byte // of the setting, WINDOW_UPDATE or GOAWAY that next returned last
	got  int             // of part
}

// A frame is one that has passed, or one setting of it.
type frame struct {
	kind, flags uint8
	setting     bool // one setting, in part; the frame has not ended
	stream      uint32
}

// next takes bytes of p up to a frame's end, or a setting's, and returns what is left of p. It reports false when p ended before.
func (r *frameReader) next(p []byte) (f frame, rest []byte, ok bool) {
	if r.have < frameHeadLen {
		if p, ok = r.begin(p); !ok {
			return f, nil, false
		}
	}
	switch r.now.kind {
	case frameSettings:
		if r.left > 0 {
			if p = r.keep(p, settingLen); r.got == settingLen {
				f, r.got = r.now, 0
				f.setting = true
				return f, p, true
			}
		}
	case frameWindowUpdate:
		p = r.keep(p, updateLen)
	case frameGoAway:
		p = r.keep(p, goAwayLen)
	}
	n := min(r.left, len(p))
	r.left -= n
	if r.left > 0 {
		return f, nil, false
	}
	r.have = 0
	return r.now, p[n:], true
}

// begin takes the head of a frame, and reports whether all of it is there.
func (r *frameReader) begin(p []byte) (rest []byte, ok bool) {
	if r.skip > 0 {
		n := min(r.skip, len(p))
		r.skip -= n
		p = p[n:]
	}
	head := p
	if r.have > 0 || len(p) < frameHeadLen {
		n := copy(r.head[r.have:], p)
		r.have += n
		p = p[n:]
		if r.have < frameHeadLen {
			return nil, false
		}
		head = r.head[:]
	} else {
		p = p[frameHeadLen:]
	}
	r.have, r.got = frameHeadLen, 0
	r.size = frameSize(head)
	r.left = r.size
	r.now = frame{kind: head[3], flags: head[4], stream: binary.BigEndian.Uint32(head[5:]) &^ (1 << 31)}
	return p, true
}

// frameSize returns how long the payload is that a frame's head announces.
func frameSize(head []byte) int { return int(head[0])<<16 | int(head[1])<<8 | int(head[2]) }

// keep takes the bytes of the payload that belong to part, which is to have so many.
func (r *frameReader) keep(p []byte, wanted int) (rest []byte) {
	if r.got >= wanted {
		return p
	}
	n := copy(r.part[r.got:min(wanted, r.got+r.left)], p)
	r.got += n
	r.left -= n
	return p[n:]
}
