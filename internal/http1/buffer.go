package http1

import "sync"

// minBufferSize is the size of a leased connection's buffer. 4 KiB costs a second system call for the common
// 4 KiB body, 16 KiB gains nearly nothing.
const minBufferSize = 8 << 10

// maxPooledSize is the largest buffer that is kept for another use: one response with a huge head must not leave
// its memory behind.
const maxPooledSize = 64 << 10

// A Buffer is the piece of memory that a connection borrows for one exchange: the request head is serialised into
// it, the response is read into the same bytes. A detached body takes it along.
type Buffer struct {
	b    []byte
	pool *BufferPool
}

// Free gives the buffer's memory back. The caller must hold no slice of it any more; a second Free of the same
// lending would hand one exchange's bytes to another, so callers free under the lock that guards their reads.
func (b *Buffer) Free() {
	if b.pool == nil || len(b.b) > b.pool.keep() {
		return
	}
	b.pool.free.Put(b)
}

// A BufferPool lends buffers of one size. The zero value lends buffers of 8 KiB. It is safe for concurrent use and
// must not be copied.
type BufferPool struct {
	// Size is the length of the buffers, at least 8 KiB. Set before first use.
	Size int

	free sync.Pool
}

// Len returns how long the buffers are that it lends.
func (p *BufferPool) Len() int { return max(p.Size, minBufferSize) }

func (p *BufferPool) keep() int { return max(p.Len(), maxPooledSize) }

// Lend returns a buffer, and its bytes, for something else than an exchange. Nobody but the caller has it until it is freed.
func (p *BufferPool) Lend() (*Buffer, []byte) {
	b := p.get()
	return b, b.b
}

func (p *BufferPool) get() *Buffer {
	if b, ok := p.free.Get().(*Buffer); ok {
		return b
	}
	return &Buffer{b: make([]byte, p.Len()), pool: p}
}
