//go:build linux

package transport_test

import (
	"bytes"
	"errors"
	"net"
	"slices"
	"strings"

	"golang.org/x/net/http2"

	"github.com/watertight-go/watertight/internal/badserver"
)

// nextStream is a fault that the test must give time to be noticed.
const nextStream = "HEADERS of the next request's stream"

// speaks2 is the beginning of a server's end of HTTP/2. It answers the first request if there is one.
func speaks2(first bool, then func(f *badserver.Frames, stream uint32) error) badserver.Script {
	return badserver.Script{badserver.HTTP2{Speak: func(f *badserver.Frames) error {
		stream, err := f.AwaitRequest()
		if err == nil && first {
			err = f.Together(func() error {
				return errors.Join(f.Head(stream, false, ":status", "200"), f.WriteData(stream, true, []byte("first")))
			})
			if err != nil || then == nil {
				return err
			}
			stream, err = f.AwaitRequest()
		}
		if err != nil {
			return err
		}
		return then(f, stream)
	}}}
}

var (
	asked2      = speaks2(false, func(*badserver.Frames, uint32) error { return nil })
	askedAgain2 = speaks2(true, func(*badserver.Frames, uint32) error { return nil })
	idle2       = speaks2(true, nil)
	inBody2     = speaks2(false, func(f *badserver.Frames, stream uint32) error {
		return errors.Join(f.Head(stream, false, ":status", "200"), f.WriteData(stream, false, make([]byte, 10000)))
	})
	inHead2      = after(asked2, writes(halfHead2))
	inFrame2     = after(inBody2, writes("\x00\x40\x00\x00\x00\x00\x00\x00\x01"+strings.Repeat("x", 1<<13)))
	inHeadAgain2 = after(askedAgain2, writes(halfHead2))
	nearEnd2     = speaks2(false, func(f *badserver.Frames, stream uint32) error {
		return errors.Join(f.Head(stream, false, ":status", "200", "content-length", "50000"), inPieces(f, stream, 49999))
	})
	beforeEnd2 = speaks2(false, func(f *badserver.Frames, stream uint32) error {
		return errors.Join(f.Head(stream, false, ":status", "200"), inPieces(f, stream, 50000))
	})
)

// halfHead2 is HEADERS of 20 bytes for the first stream, of which one is there.
const halfHead2 = "\x00\x00\x14\x01\x04\x00\x00\x00\x01\x88"

func inPieces(f *badserver.Frames, stream uint32, size int) (err error) {
	for piece := range slices.Chunk(make([]byte, size), 1<<14) {
		err = errors.Join(err, f.WriteData(stream, false, piece))
	}
	return err
}

// around2 does something beneath HTTP/2, in the middle of what it says on the first request's stream.
func around2(before func(f *badserver.Frames, stream uint32) error, deed badserver.Step, then func(f *badserver.Frames, stream uint32) error) badserver.Script {
	var frames *badserver.Frames
	var stream uint32
	return badserver.Script{
		badserver.HTTP2{Speak: func(f *badserver.Frames) (err error) {
			frames = f
			if stream, err = f.AwaitRequest(); err != nil {
				return err
			}
			return before(f, stream)
		}},
		deed,
		badserver.Func(func(net.Conn) error {
			if err := then(frames, stream); err != nil {
				return err
			}
			return answerAll(frames)
		}),
	}
}

func frames(then func(f *badserver.Frames, stream uint32) error) badserver.Script {
	return speaks2(false, func(f *badserver.Frames, stream uint32) error {
		if err := then(f, stream); err != nil {
			return err
		}
		return answerAll(f)
	})
}

// answerAll answers further requests with their paths, as the server's other connections do.
func answerAll(f *badserver.Frames) error {
	for {
		got, err := f.ReadFrame()
		if head, ok := got.(*http2.MetaHeadersFrame); ok {
			path := strings.TrimPrefix(head.PseudoValue("path"), "/")
			err = errors.Join(f.Head(head.StreamID, false, ":status", "200"), f.WriteData(head.StreamID, true, []byte(path)))
		} else if err == nil {
			err = f.Answer(got)
		}
		if err != nil {
			return err
		}
	}
}

func whole2(f *badserver.Frames, stream uint32) error {
	return errors.Join(f.Head(stream, false, ":status", "200"), f.WriteData(stream, true, []byte("fault")))
}

// early2 is an answer to a request of which its body has not come yet.
func early2(f *badserver.Frames, stream uint32) error {
	return errors.Join(f.Head(stream, false, ":status", "413"), f.WriteData(stream, true, []byte("fault")))
}

// http2Faults are in frames.
func http2Faults() (all []fault) {
	for _, f := range []struct {
		moment, name string
		then         func(f *badserver.Frames, stream uint32) error
		want         sight
		says         string
	}{
		{"head", "RST_STREAM", func(f *badserver.Frames, s uint32) error { return f.WriteRSTStream(s, http2.ErrCodeInternal) }, failed, "INTERNAL_ERROR"},
		{"head", "GOAWAY with an error", func(f *badserver.Frames, s uint32) error { return f.WriteGoAway(s, http2.ErrCodeEnhanceYourCalm, nil) }, failed, ""},
		{"head", "GOAWAY that spares the request", func(f *badserver.Frames, s uint32) error {
			return errors.Join(f.WriteGoAway(s, http2.ErrCodeNo, nil), whole2(f, s))
		}, answered, ""},
		{"head", "GOAWAY before the request", func(f *badserver.Frames, s uint32) error { return f.WriteGoAway(0, http2.ErrCodeNo, nil) }, again, ""},
		{"head", "REFUSED_STREAM", func(f *badserver.Frames, s uint32) error { return f.WriteRSTStream(s, http2.ErrCodeRefusedStream) }, again, ""},
		{"head", "no status", func(f *badserver.Frames, s uint32) error { return f.Head(s, true, "a", "b") }, failed, ""},
		{"head", "two statuses", func(f *badserver.Frames, s uint32) error { return f.Head(s, true, ":status", "200", ":status", "200") }, failed, ""},
		{"head", "a status of four digits", func(f *badserver.Frames, s uint32) error { return f.Head(s, true, ":status", "2000") }, failed, "status code"},
		{"head", "1xx that ends the stream", func(f *badserver.Frames, s uint32) error { return f.Head(s, true, ":status", "103") }, failed, ""},
		{"head", "a push", func(f *badserver.Frames, s uint32) error {
			return f.WritePushPromise(http2.PushPromiseParam{StreamID: s, PromiseID: 2, BlockFragment: f.Block(":status", "200"), EndHeaders: true})
		}, failed, "PROTOCOL_ERROR"},
		{"head", "DATA without HEADERS", func(f *badserver.Frames, s uint32) error { return f.WriteData(s, true, []byte("x")) }, failed, ""},
		{"head", "endless fields, in CONTINUATION", func(f *badserver.Frames, s uint32) error {
			block := bytes.Clone(f.Block(":status", "200", "a", strings.Repeat("b", 1000)))
			err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: s, BlockFragment: block})
			for err == nil {
				err = f.WriteContinuation(s, false, f.Block("a", strings.Repeat("b", 1000)))
			}
			return err
		}, failed, "PROTOCOL_ERROR"},
		{"head", "too many fields, in HEADERS", func(f *badserver.Frames, s uint32) error {
			return f.Head(s, true, append([]string{":status", "200"}, strings.Split(strings.Repeat("a,,", 10001)+"a", ",")...)...)
		}, failed, ""},
		{"head", "endless 1xx, in HEADERS", func(f *badserver.Frames, s uint32) (err error) {
			for err == nil {
				err = f.Head(s, false, ":status", "103", "a", strings.Repeat("b", 1000))
			}
			return err
		}, failed, ""},
		{"body", "more than it says", func(f *badserver.Frames, s uint32) error {
			return errors.Join(f.Head(s, false, ":status", "200", "content-length", "5"), f.WriteData(s, true, make([]byte, 10000)))
		}, cut, ""},
		{"body", "a window that overflows", func(f *badserver.Frames, s uint32) error {
			return errors.Join(f.Head(s, false, ":status", "200"), f.WriteWindowUpdate(0, 1<<31-1))
		}, cut, "FLOW_CONTROL_ERROR"},
		{"body", "RST_STREAM in DATA", func(f *badserver.Frames, s uint32) error {
			return errors.Join(f.Head(s, false, ":status", "200"), f.WriteData(s, false, make([]byte, 10000)), f.WriteRSTStream(s, http2.ErrCodeInternal))
		}, cut, ""},
		{"body", "less than it says", func(f *badserver.Frames, s uint32) error {
			return errors.Join(f.Head(s, false, ":status", "200", "content-length", "50000"), f.WriteData(s, true, make([]byte, 10000)))
		}, cut, ""},
		{"body", "DATA on stream 0", func(f *badserver.Frames, s uint32) error {
			return errors.Join(f.Head(s, false, ":status", "200"), f.WriteRawFrame(http2.FrameData, 0, 0, []byte("x")))
		}, cut, ""},
		{"end", "trailers that do not end the stream", func(f *badserver.Frames, s uint32) error {
			return errors.Join(f.Head(s, false, ":status", "200"), f.WriteData(s, false, make([]byte, 10000)), f.Head(s, false, "a", "b"))
		}, cut, ""},
		{"end", "a status in the trailers", func(f *badserver.Frames, s uint32) error {
			return errors.Join(f.Head(s, false, ":status", "200"), f.WriteData(s, false, make([]byte, 10000)), f.Head(s, true, ":status", "200"))
		}, cut, ""},
		{"idle", "DATA behind the end", func(f *badserver.Frames, s uint32) error {
			return errors.Join(whole2(f, s), f.WriteData(s, true, []byte("evil")))
		}, answered, ""},
		{"idle", "HEADERS behind the end", func(f *badserver.Frames, s uint32) error {
			return errors.Join(whole2(f, s), f.Head(s, true, ":status", "200"))
		}, answered, ""},
		{"idle", "RST_STREAM behind the end", func(f *badserver.Frames, s uint32) error {
			return errors.Join(whole2(f, s), f.WriteRSTStream(s, http2.ErrCodeInternal))
		}, answered, ""},
		{"idle", nextStream, func(f *badserver.Frames, s uint32) error {
			return errors.Join(whole2(f, s), f.Head(s+2, false, ":status", "200"), f.WriteData(s+2, true, []byte("evil")))
		}, answered, ""},
		{"idle", "GOAWAY", func(f *badserver.Frames, s uint32) error {
			return errors.Join(whole2(f, s), f.WriteGoAway(s, http2.ErrCodeNo, nil))
		}, answered, ""},
	} {
		all = append(all, fault{moment: f.moment, name: f.name, http2: frames(f.then), want: f.want, says: f.says})
	}
	return all
}
