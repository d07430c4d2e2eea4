package transport

import (
	"io"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
)

// A streamBody is the caller's handle on a body that is still coming. When the collector finds it unreachable, the
// stream's connection is taken back.
//
// Each method keeps the handle alive to its end: without that the collector may see it as dead during a blocked last
// Read, which uses only the stream.
type streamBody struct {
	s       *stream
	resp    *http.Response // its Trailer is completed at the end
	cleanup dropCleanup
}

var (
	_ io.ReadCloser = (*streamBody)(nil)
	_ io.WriterTo   = (*streamBody)(nil)
)

func (b *streamBody) Read(p []byte) (int, error) {
	defer runtime.KeepAlive(b)
	n, err := b.s.read(p)
	if err != nil {
		b.settle(err)
	}
	return n, err
}

// A copyBuffer is for WriteTo: io.Copy would allocate one per body, of half the size. Most of the time a body of 64 KiB is in the kernel
// when its head is read, and is had with one more system call.
type copyBuffer [64 << 10]byte

var copyBuffers = sync.Pool{New: func() any { return new(copyBuffer) }}

// WriteTo writes the rest of the body to w.
func (b *streamBody) WriteTo(w io.Writer) (n int64, err error) {
	defer runtime.KeepAlive(b)
	// Whoever waits for w has not forgotten the body.
	b.s.writing.Add(1)
	defer b.s.wrote()
	return copyBody(w, b.Read)
}

// copyBody writes to w what read reads.
func copyBody(w io.Writer, read func([]byte) (int, error)) (n int64, err error) {
	buf := copyBuffers.Get().(*copyBuffer)
	defer copyBuffers.Put(buf)
	for {
		got, rerr := read(buf[:])
		if got > 0 {
			put, werr := w.Write(buf[:got])
			n += int64(put)
			if werr == nil && put < got {
				werr = io.ErrShortWrite
			}
			if werr != nil {
				return n, werr
			}
		}
		switch rerr {
		case nil:
		case io.EOF:
			return n, nil
		default:
			return n, rerr
		}
	}
}

// Close ends the body; later Reads return http.ErrBodyReadAfterClose. What is left is drained in the background where
// it is little. It may be called more than once, and during a Read, which it ends. It always returns nil.
func (b *streamBody) Close() error {
	defer runtime.KeepAlive(b)
	b.s.close()
	b.cleanup.stop()
	return nil
}

// A dropCleanup is what runs when the caller drops a handle. The zero one is none.
type dropCleanup struct {
	cleanup runtime.Cleanup
	stopped atomic.Bool
}

// stop is called at a body's end and on Close. The runtime would look for the cleanup twice, which costs more than all else there.
func (c *dropCleanup) stop() {
	if !c.stopped.Swap(true) {
		c.cleanup.Stop()
	}
}

// settle notes the end of the stream: nothing can leak any more.
func (b *streamBody) settle(err error) {
	b.cleanup.stop()
	if err == io.EOF {
		fillTrailer(b.resp, b.s.takeTrailer())
	}
}
