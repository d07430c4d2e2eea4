package badserver

import (
	"bytes"
	"fmt"
	"io"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// HTTP2 speaks HTTP/2 on the connection, frame by frame, after the client's preface was read and SETTINGS were written, unless they
// are Late: then they are Speak's to write.
type HTTP2 struct {
	Settings []http2.Setting
	Late     bool
	Speak    func(*Frames) error
}

func (h HTTP2) play(s *session) error {
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(s.r, preface); err != nil {
		return err
	}
	if string(preface) != http2.ClientPreface {
		return fmt.Errorf("no HTTP/2: %q", preface)
	}
	f := &Frames{out: &gathering{to: s.conn}}
	f.Framer = http2.NewFramer(f.out, s.r)
	f.encoder = hpack.NewEncoder(&f.block)
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if !h.Late {
		if err := f.WriteSettings(h.Settings...); err != nil {
			return err
		}
	}
	return h.Speak(f)
}

// Frames is the server's end of a connection that speaks HTTP/2. It has all that a Framer has.
type Frames struct {
	*http2.Framer
	out     *gathering
	block   bytes.Buffer
	encoder *hpack.Encoder
}

// await reads up to a frame, and answers SETTINGS and pings on the way.
func (f *Frames) await(is func(http2.Frame) bool) error {
	for {
		got, err := f.ReadFrame()
		if err != nil || is(got) {
			return err
		}
		if err := f.Answer(got); err != nil {
			return err
		}
	}
}

// AwaitRequest reads up to the next request, answers SETTINGS and pings on the way, and returns the request's stream.
func (f *Frames) AwaitRequest() (stream uint32, err error) {
	err = f.await(func(got http2.Frame) bool {
		head, ok := got.(*http2.MetaHeadersFrame)
		if ok {
			stream = head.StreamID
		}
		return ok
	})
	return stream, err
}

// AwaitEnd reads up to the end of a request's body.
func (f *Frames) AwaitEnd() error {
	return f.await(func(got http2.Frame) bool {
		data, ok := got.(*http2.DataFrame)
		return ok && data.StreamEnded()
	})
}

// Answer acknowledges SETTINGS and pings.
func (f *Frames) Answer(got http2.Frame) error {
	switch got := got.(type) {
	case *http2.SettingsFrame:
		if !got.IsAck() {
			return f.WriteSettingsAck()
		}
	case *http2.PingFrame:
		if !got.IsAck() {
			return f.WritePing(true, got.Data)
		}
	}
	return nil
}

// Head writes a response's head, fields as names and values in turn.
func (f *Frames) Head(stream uint32, end bool, fields ...string) error {
	return f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: f.Block(fields...), EndStream: end, EndHeaders: true})
}

// Together writes the frames that write does at once.
func (f *Frames) Together(write func() error) error {
	f.out.gather = true
	err := write()
	f.out.gather = false
	if err == nil {
		_, err = f.out.Write(nil)
	}
	return err
}

// A gathering is a writer that can wait for more.
type gathering struct {
	to     io.Writer
	buf    []byte
	gather bool
}

func (g *gathering) Write(p []byte) (int, error) {
	g.buf = append(g.buf, p...)
	if g.gather {
		return len(p), nil
	}
	_, err := g.to.Write(g.buf)
	g.buf = g.buf[:0]
	return len(p), err
}

// Block encodes fields, names and values in turn.
func (f *Frames) Block(fields ...string) []byte {
	f.block.Reset()
	for i := 0; i+1 < len(fields); i += 2 {
		_ = f.encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return f.block.Bytes()
}

// Rest answers what has to be answered until the client leaves.
func (f *Frames) Rest() error { return f.await(func(http2.Frame) bool { return false }) }

// Swallow reads until the client leaves, and says nothing.
func (f *Frames) Swallow() error {
	for {
		if _, err := f.ReadFrame(); err != nil {
			return err
		}
	}
}
