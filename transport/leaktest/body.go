package leaktest

import (
	"errors"
	"io"
)

// handle returns the caller's handle on a body, which can do what the body can. upgraded is true for the body of an upgrade,
// which the end of what it reads does not end.
func handle(x *exchange, body io.ReadCloser, upgraded bool) io.ReadCloser {
	h := recordedBody{x, body}
	switch body := body.(type) {
	case io.ReadWriteCloser:
		return &recordedTunnel{x, body, upgraded}
	case io.WriterTo:
		return &recordedCopier{h, body}
	}
	return &h
}

// A recordedBody notes what its caller does with a body.
type recordedBody struct {
	x    *exchange
	body io.ReadCloser
}

// Read reads the body. Any error is its end, and so is the last of a known number of bytes. The end of one whose size is not known
// comes by itself, whenever it arrived: whether it came with the last bytes, which a caller may take for all there is, is chance.
func (b *recordedBody) Read(p []byte) (int, error) {
	b.x.enter()
	defer b.x.leave()
	n, err := b.body.Read(p)
	got := b.x.got.Add(int64(n))
	_, size, _ := b.x.answer()
	switch {
	case size < 0 && n > 0 && err == io.EOF:
		return n, nil
	case err != nil, got == size:
		b.x.record.finish(b.x)
	}
	return n, err
}

// Close closes the body.
func (b *recordedBody) Close() error {
	b.x.record.finish(b.x)
	return b.body.Close()
}

// A recordedCopier is a recordedBody that writes itself, for io.Copy.
type recordedCopier struct {
	recordedBody
	from io.WriterTo
}

// WriteTo writes the rest of the body. That is its end, unless the writer failed.
func (b *recordedCopier) WriteTo(w io.Writer) (int64, error) {
	b.x.enter()
	defer b.x.leave()
	to := countingWriter{x: b.x, w: w}
	n, err := b.from.WriteTo(&to)
	if !to.failed {
		b.x.record.finish(b.x)
	}
	return n, err
}

// A countingWriter counts what is written, and notes whether that failed.
type countingWriter struct {
	x      *exchange
	w      io.Writer
	failed bool
}

func (c *countingWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.x.got.Add(int64(max(n, 0)))
	c.failed = c.failed || err != nil || n < len(p)
	return n, err
}

// A recordedTunnel is a recordedBody that can be written to.
type recordedTunnel struct {
	x        *exchange
	body     io.ReadWriteCloser
	upgraded bool
}

func (b *recordedTunnel) Read(p []byte) (int, error) {
	b.x.enter()
	defer b.x.leave()
	n, err := b.body.Read(p)
	b.x.got.Add(int64(n))
	if err != nil && !b.upgraded {
		b.x.record.finish(b.x)
	}
	return n, err
}

func (b *recordedTunnel) Write(p []byte) (int, error) {
	b.x.enter()
	defer b.x.leave()
	return b.body.Write(p)
}

// Close closes the connection.
func (b *recordedTunnel) Close() error {
	b.x.record.finish(b.x)
	return b.body.Close()
}

// CloseWrite ends our direction, where the connection can do that.
func (b *recordedTunnel) CloseWrite() error {
	if cw, ok := b.body.(interface{ CloseWrite() error }); ok {
		return cw.CloseWrite()
	}
	return errors.ErrUnsupported
}
