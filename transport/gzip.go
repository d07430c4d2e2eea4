package transport

import (
	"compress/gzip"
	"io"
	"net/http"
	"sync"
)

// unzippers are gzip readers between two uses: each holds some 40 KiB.
var unzippers sync.Pool

// A gunzip decompresses src as it is read. Nothing is read before the first Read. It is not safe for concurrent use.
type gunzip struct {
	src io.Reader
	zr  *gzip.Reader // nil before the first Read and after the end
	err error
}

func (g *gunzip) Read(p []byte) (int, error) {
	if g.err != nil {
		return 0, g.err
	}
	if g.zr == nil {
		if g.err = g.open(); g.err != nil {
			g.end()
			return 0, g.err
		}
	}
	n, err := g.zr.Read(p)
	if err != nil {
		g.err = err
		g.end()
	}
	return n, err
}

func (g *gunzip) open() (err error) {
	if zr, ok := unzippers.Get().(*gzip.Reader); ok {
		g.zr = zr
		return zr.Reset(g.src)
	}
	g.zr, err = gzip.NewReader(g.src)
	return err
}

// end gives the reader back. A later Read returns the error that ended it.
func (g *gunzip) end() {
	if g.zr == nil {
		return
	}
	// A Reset with an empty input forgets src; its error is the expected EOF.
	_ = g.zr.Reset(noInput{})
	unzippers.Put(g.zr)
	g.zr = nil
}

type noInput struct{}

func (noInput) Read([]byte) (int, error) { return 0, io.EOF }
func (noInput) ReadByte() (byte, error)  { return 0, io.EOF }

// An unzipped is a detached body that is decompressed as it is read.
type unzipped struct {
	src *detachedBody

	mu     sync.Mutex // guards the fields below
	zip    gunzip
	closed bool
}

func (b *unzipped) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return 0, http.ErrBodyReadAfterClose
	}
	if b.zip.src == nil {
		b.zip.src = b.src
	}
	return b.zip.Read(p)
}

// Close ends the body; later Reads return http.ErrBodyReadAfterClose. It always returns nil.
func (b *unzipped) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.zip.end()
	return b.src.Close()
}
