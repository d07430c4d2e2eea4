package transport

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
	"golang.org/x/net/http2"
)

// written is what a client writes: its preface, and frames of each kind that matters, and of others.
func written() []byte {
	var b bytes.Buffer
	b.WriteString(http2.ClientPreface)
	f := http2.NewFramer(&b, nil)
	_ = f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1}, http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 7})
	_ = f.WriteSettingsAck()
	_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte("head"), EndStream: true})
	_ = f.WriteContinuation(1, true, []byte("more"))
	_ = f.WriteData(3, false, make([]byte, 300))
	_ = f.WriteData(3, true, nil)
	_ = f.WritePing(false, [8]byte{1})
	_ = f.WriteWindowUpdate(5, 1<<20)
	_ = f.WriteRSTStream(5, http2.ErrCodeCancel)
	_ = f.WriteGoAway(9, http2.ErrCodeEnhanceYourCalm, []byte("too_many_pings"))
	_ = f.WriteRawFrame(0xbe, 0, 11, []byte("unknown"))
	_ = f.WriteSettings()
	return b.Bytes()
}

// A seenFrame is a frame with what is kept of it.
type seenFrame struct {
	frame
	size int
	part [goAwayLen]byte
}

// framesIn follows what is written in pieces of so many bytes.
func framesIn(p []byte, piece int) (all []seenFrame) {
	r := frameReader{skip: prefaceLen}
	for len(p) > 0 {
		n := min(piece, len(p))
		for f, rest, ok := r.next(p[:n]); ok; f, rest, ok = r.next(rest) {
			seen := seenFrame{frame: f, size: r.size}
			switch {
			case seen.setting:
				copy(seen.part[:], r.part[:settingLen])
			case seen.kind == frameGoAway || seen.kind == frameWindowUpdate:
				copy(seen.part[:], r.part[:r.got])
			}
			all = append(all, seen)
		}
		p = p[n:]
	}
	return all
}

// Frames are seen however they are cut.
func TestFramesInPieces(t *testing.T) {
	p := written()
	whole := framesIn(p, len(p))
	var kinds []uint8
	for _, f := range whole {
		kinds = append(kinds, f.kind)
	}
	assert.Equal(t, []uint8{
		frameSettings, frameSettings, frameSettings, frameSettings, frameHeaders, frameContinuation, frameData, frameData, 0x6, frameWindowUpdate, frameReset, frameGoAway, 0xbe, frameSettings,
	}, kinds)
	assert.Equal(t, seenFrame{frame{kind: frameSettings, setting: true}, 12, [goAwayLen]byte{0, settingMaxStreams, 0, 0, 0, 7}}, whole[1])
	assert.Equal(t, seenFrame{frame: frame{kind: frameHeaders, flags: flagEndStream, stream: 1}, size: 4}, whole[4])
	assert.Equal(t, seenFrame{frame{kind: frameWindowUpdate, stream: 5}, 4, [goAwayLen]byte{0, 16}}, whole[9])
	assert.Equal(t, seenFrame{frame{kind: frameGoAway}, 22, [goAwayLen]byte{0, 0, 0, 9, 0, 0, 0, 11}}, whole[11])
	for piece := 1; piece < 60; piece++ {
		assert.Equal(t, whole, framesIn(p, piece), "pieces of %d", piece)
	}
}

// Whatever the bytes are, following them ends.
func FuzzFrames(f *testing.F) {
	f.Add(written(), 3)
	f.Fuzz(func(t *testing.T, p []byte, piece int) {
		if piece > 0 {
			assert.Equal(t, framesIn(p, len(p)+1), framesIn(p, piece))
		}
	})
}
