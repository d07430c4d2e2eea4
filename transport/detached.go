package transport

import (
	"io"
	"net/http"
	"sync"

	"github.com/watertight-go/watertight/internal/http1"
)

// A detachedResponse is a response whose whole body had arrived with its head. Its connection is back in the pool
// before the caller sees it: a body that is never closed costs nothing but memory, which the collector takes. All
// parts are one allocation.
type detachedResponse struct {
	http.Response
	body   detachedBody
	values [8]string // storage of the header's values
}

// A detachedBody is a body that lies in memory. The buffer goes back to its pool at the end or on Close, but never
// while a Read or WriteTo still uses it, or one exchange's bytes would show up in another's.
type detachedBody struct {
	resp *http.Response

	mu      sync.Mutex // guards the fields below
	buf     *http1.Buffer
	rest    []byte
	trailer http.Header
	lent    bool // to a WriteTo in progress
	closed  bool
}

func (b *detachedBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return 0, http.ErrBodyReadAfterClose
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	if len(b.rest) > 0 {
		return n, nil
	}
	b.endLocked()
	return n, io.EOF
}

// WriteTo writes what is left to w. It holds no lock while it writes.
func (b *detachedBody) WriteTo(w io.Writer) (int64, error) {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return 0, http.ErrBodyReadAfterClose
	}
	rest := b.rest
	b.rest, b.lent = nil, true
	b.mu.Unlock()

	n, err := 0, error(nil)
	if len(rest) > 0 {
		n, err = w.Write(rest)
	}

	b.mu.Lock()
	defer b.mu.Unlock()
	b.lent = false
	b.rest = rest[min(max(n, 0), len(rest)):]
	if err == nil && len(b.rest) > 0 {
		err = io.ErrShortWrite
	}
	if b.closed || len(b.rest) == 0 {
		b.endLocked()
	}
	return int64(n), err
}

// Close ends the body; later Reads return http.ErrBodyReadAfterClose. It always returns nil.
func (b *detachedBody) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.endLocked()
	return nil
}

// endLocked lets go of the buffer and completes the trailer.
func (b *detachedBody) endLocked() {
	if b.lent {
		return // WriteTo comes back here
	}
	b.rest = nil
	if !b.closed {
		fillTrailer(b.resp, b.trailer)
		b.trailer = nil
	}
	if b.buf != nil {
		b.buf.Free()
		b.buf = nil
	}
}
