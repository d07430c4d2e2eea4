package http1

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"time"
)

// copySize is how much of a request body is read at a time.
const copySize = 32 << 10

// chunkRoom is kept free before the data of a chunk for its size line.
const chunkRoom = 18

var copyBuffers = sync.Pool{New: func() any { return new([copySize]byte) }}

// memoryReader is what bytes.Reader, bytes.Buffer and strings.Reader have in common: reading never blocks.
type memoryReader interface {
	io.Reader
	io.WriterTo
	Len() int
}

// memorySeeker is what they have in common but for bytes.Buffer.
type memorySeeker interface {
	memoryReader
	io.ReaderAt
	io.Seeker
	Size() int64
}

var (
	nopCloser         = reflect.TypeOf(io.NopCloser(nil))
	nopCloserWriterTo = reflect.TypeOf(io.NopCloser(struct {
		io.Reader
		io.WriterTo
	}{}))
)

// inMemory returns the reader in memory that body stands for, nil if there is none. http.NewRequest wraps those it is
// given with io.NopCloser, which has no method to tell.
func inMemory(body any) memoryReader {
	switch r := callersOwn(body).(type) {
	case *bytes.Reader:
		return r
	case *bytes.Buffer:
		return r
	case *strings.Reader:
		return r
	}
	return nil
}

// callersOwn returns what the caller gave as body.
func callersOwn(body any) any {
	if w, ok := body.(interface{ Unwrap() io.ReadCloser }); ok {
		body = w.Unwrap()
	}
	if t := reflect.TypeOf(body); t == nopCloser || t == nopCloserWriterTo {
		body = reflect.ValueOf(body).Field(0).Interface()
	}
	return body
}

// IsUsedUp reports whether a body is one in memory of which nothing is left.
func IsUsedUp(body io.ReadCloser) bool {
	m := inMemory(body)
	return m != nil && m.Len() == 0
}

// appendBody appends a body that is in memory and fits behind the head in b, and returns that, still unread. It returns nil where
// the body is of another kind: it might block, and the head must not wait for it.
func (x *Exchange) appendBody(b []byte) (_ []byte, whole memoryReader, err error) {
	m := inMemory(x.Body)
	if m == nil || x.Head.Chunked || x.Head.ContentLength < 0 {
		return b, nil, nil
	}
	n := m.Len()
	if int64(n) != x.Head.ContentLength {
		_ = x.Body.Close()
		x.Body = nil
		return b, nil, errLength(x.Head.ContentLength, int64(n))
	}
	if n > cap(b)-len(b) {
		return b, nil, nil
	}
	end := len(b) + n
	switch r := m.(type) {
	case *bytes.Buffer:
		copy(b[len(b):end], r.Bytes())
	case memorySeeker:
		if _, err := r.ReadAt(b[len(b):end], r.Size()-int64(n)); err != nil && err != io.EOF {
			return b, nil, err
		}
	}
	return b[:end], m, nil
}

// takeBody reads and closes a body that appendBody has returned; nil: there is none.
func (x *Exchange) takeBody(whole memoryReader) {
	if whole == nil {
		return
	}
	switch r := whole.(type) {
	case *bytes.Buffer:
		r.Reset()
	case memorySeeker:
		_, _ = r.Seek(0, io.SeekEnd)
	}
	_ = x.Body.Close() // which does nothing for a caller's
	x.Body = nil
}

// send writes the body as its framing says. A failure of the connection is a writeError; anything else is the body's
// own. A body with neither a length nor chunks, a CONNECT's, is sent as it comes.
func (u *upload) send() error {
	x := &u.x
	if x.Head.Chunked {
		return u.sendChunks()
	}
	want := x.Head.ContentLength
	if want < 0 {
		want = math.MaxInt64 // what follows a CONNECT has no framing
	}
	if m := inMemory(x.Body); m != nil && int64(m.Len()) == want {
		// One Write for all of it.
		_, err := m.WriteTo(u)
		return err
	}
	file := u.largeFile(want)
	buf := copyBuffers.Get().(*[copySize]byte)
	defer copyBuffers.Put(buf)
	var sent int64
	for {
		n, err := u.read(buf[:])
		if sent+int64(n) > want {
			return errLength(want, sent+int64(n))
		}
		if n > 0 {
			if _, werr := u.Write(buf[:n]); werr != nil {
				return werr
			}
			sent += int64(n)
		}
		if rest := want - sent; file != nil && err == nil && rest >= copySize {
			passed, err := u.pass(file, min(passSize, rest-copySize+1))
			if err != nil {
				return err
			}
			sent += passed
		}
		switch {
		case err == io.EOF && sent < x.Head.ContentLength:
			return errLength(want, sent)
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
	}
}

// read reads of the body until there are bytes or an error: a Read may bring neither, and bring neither for ever, but not for longer than
// the exchange lasts. Whoever has aborted that, and sees no Read in progress then, knows that none begins any more.
func (u *upload) read(p []byte) (n int, err error) {
	for n == 0 && err == nil {
		u.readingSince.Store(time.Now().UnixNano())
		if u.c.Aborted() && !u.isProbing() {
			err = u.x.abortCause()
		} else {
			n, err = u.x.Body.Read(p)
		}
		u.readingSince.Store(0)
	}
	return n, err
}

// isProbing reports whether the first Read was begun before the upload, and may be in progress.
func (u *upload) isProbing() bool {
	p, ok := u.x.Body.(*probedBody)
	return ok && !p.served
}

// sendChunks writes a chunk per Read (RFC 9112 section 7.1), each in one Write with its size line.
func (u *upload) sendChunks() error {
	buf := copyBuffers.Get().(*[copySize]byte)
	defer copyBuffers.Put(buf)
	for {
		n, err := u.read(buf[chunkRoom : copySize-len("\r\n")])
		if n > 0 {
			var size [chunkRoom]byte
			line := AppendChunkSize(size[:0], n)
			begin := chunkRoom - len(line)
			copy(buf[begin:], line)
			end := chunkRoom + n + copy(buf[chunkRoom+n:], "\r\n")
			if _, werr := u.Write(buf[begin:end]); werr != nil {
				return werr
			}
		}
		switch {
		case err == io.EOF:
			return u.endChunks(buf[:0])
		case err != nil:
			return err
		}
	}
}

// endChunks writes what ends the chunks, in b. Before that it closes the body, which may find only then that it is wrong, or set the
// trailer.
func (u *upload) endChunks(b []byte) error {
	x := &u.x
	err := x.Body.Close()
	switch {
	case u.c.Aborted():
		return x.abortCause() // the trailer is the caller's again
	case err != nil:
		return err
	}
	b = append(b, "0\r\n"...)
	b = AppendTrailer(b, x.Request.Trailer)
	_, err = u.Write(append(b, "\r\n"...))
	return err
}

// Write writes to the connection, marking its failures.
func (u *upload) Write(b []byte) (int, error) {
	n, err := u.write(func(nc net.Conn) (int64, error) {
		n, err := nc.Write(b)
		return int64(n), err
	})
	return int(n), err
}

func (u *upload) write(to func(net.Conn) (int64, error)) (int64, error) {
	if u.c.Aborted() {
		return 0, u.x.abortCause()
	}
	u.writing.Store(true)
	n, err := to(u.c.nc)
	if IsReset(err) {
		told := err // or each would be on the heap
		u.reset.Store(&told)
	}
	u.writing.Store(false)
	switch {
	case err == nil:
		return n, nil
	case u.c.Aborted():
		return n, u.x.abortCause()
	}
	return n, writeError{err}
}

var errAborted = errors.New("transport: exchange aborted")

// abortCause is what an upload says of an abort.
func (x *Exchange) abortCause() error {
	if err := context.Cause(x.Ctx); err != nil {
		return err
	}
	return errAborted
}

// probeTime is how long a body that may be empty is asked for its first byte before the head announces it.
const probeTime = 200 * time.Millisecond

// probe decides between no body and a chunked one for methods that seldom have a body, by reading its first byte.
func (x *Exchange) probe() error {
	p := &probedBody{ReadCloser: x.Body, first: make(chan struct{})}
	go p.read()
	if Await(p.first, probeTime) && p.n == 0 && errors.Is(p.err, io.EOF) {
		body := x.Body
		x.Body = nil
		return body.Close()
	}
	x.Head.Chunked = true
	x.Head.ContentLength = -1
	x.Body = p
	return nil
}

// A probedBody is a body whose first byte is being read, or was read, ahead.
type probedBody struct {
	io.ReadCloser

	first chan struct{} // closed once the byte is there; guards the fields below
	b     [1]byte
	n     int
	err   error

	served bool
}

func (p *probedBody) read() {
	defer close(p.first)
	p.err = ErrBodyExited
	p.n, p.err = p.ReadCloser.Read(p.b[:])
}

func (p *probedBody) Read(b []byte) (int, error) {
	if p.served {
		return p.ReadCloser.Read(b)
	}
	<-p.first
	if p.n == 1 && len(b) == 0 {
		return 0, nil
	}
	p.served = true
	return copy(b, p.b[:p.n]), p.err
}

// HasBody reports whether a request of this method usually has a body, so that one of unknown length is announced
// without a probe.
func HasBody(method string) bool {
	switch method {
	case "", http.MethodGet, http.MethodHead, http.MethodDelete, http.MethodOptions, "PROPFIND", "SEARCH":
		return false
	}
	return true
}
