package http1_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/internal/http1"
)

// A passing connection may be given a file.
type passing struct {
	scripted
	passed, written int64
	wrote           func(all int64) // nil: nobody asks
}

func (c *passing) Write(p []byte) (int, error) {
	c.written += int64(len(p))
	if c.wrote != nil {
		c.wrote(c.written)
	}
	return len(p), nil
}

func (c *passing) ReadFrom(r io.Reader) (int64, error) {
	n, err := io.Copy(io.Discard, r)
	c.passed += n
	if err != nil {
		err = &net.OpError{Op: "readfrom", Net: "tcp", Err: err}
	}
	return n, err
}

func (c *passing) Close() error {
	select {
	case c.reads <- io.EOF:
	default:
	}
	return nil
}

// Nearly all of a large file is left to the system, and nothing of another body, or of a small one.
func TestLargeFileIsPassed(t *testing.T) {
	name := filepath.Join(t.TempDir(), "large")
	require.NoError(t, os.WriteFile(name, nil, 0o600))
	for _, tt := range []struct {
		size   int64
		wrap   func(*os.File) io.ReadCloser
		passes bool
	}{
		{20 << 20, func(f *os.File) io.ReadCloser { return f }, true},
		{20 << 20, func(f *os.File) io.ReadCloser { return io.NopCloser(f) }, true},
		{20 << 20, func(f *os.File) io.ReadCloser { return struct{ io.ReadCloser }{f} }, false},
		{10 << 20, func(f *os.File) io.ReadCloser { return f }, false},
	} {
		require.NoError(t, os.Truncate(name, tt.size))
		f, err := os.Open(name)
		require.NoError(t, err)
		nc := &passing{scripted: scripted{reads: make(chan any, 1)}}
		c, _ := putting(t, nc, &answered{tt.wrap(f), nc.reads}, tt.size)
		require.NoError(t, c.RoundTrip(new(http.Response), nil))
		assert.False(t, c.End()) // the response's body was not read
		assert.Greater(t, nc.passed+nc.written, tt.size)
		if tt.passes {
			assert.Less(t, nc.written, tt.size/50)
		} else {
			assert.Zero(t, nc.passed)
		}
		_ = f.Close()
	}
}

// A file that can be read no more is no failure of the connection.
func TestLargeFileFails(t *testing.T) {
	name := filepath.Join(t.TempDir(), "large")
	require.NoError(t, os.WriteFile(name, nil, 0o600))
	require.NoError(t, os.Truncate(name, 20<<20))
	f, err := os.Open(name)
	require.NoError(t, err)
	nc := &passing{scripted: scripted{reads: make(chan any, 1)}}
	nc.wrote = func(all int64) {
		if all > 32<<10 { // behind the first Read
			_ = f.Close()
		}
	}
	c, x := putting(t, nc, f, 20<<20)
	err = c.RoundTrip(new(http.Response), nil)
	assert.ErrorIs(t, err, os.ErrClosed)
	assert.False(t, errors.As(err, new(*net.OpError)), "%v", err)
	assert.Equal(t, http1.NoFailure, x.Failure)
	c.End()
}

// putting returns an exchange that is about to send a body.
func putting(t *testing.T, nc net.Conn, body io.ReadCloser, size int64) (*http1.Conn, *http1.Exchange) {
	c := new(http1.Conn)
	c.Init(nc, new(owner))
	x := c.Start()
	req, err := http.NewRequest(http.MethodPut, "http://a.example/", nil)
	require.NoError(t, err)
	x.Ctx, x.Request, x.Head.Target, x.Head.Host, x.Head.ContentLength = t.Context(), req, "/", "a.example", size
	x.Body = body
	return c, x
}

// An answered body is answered when it is closed.
type answered struct {
	io.ReadCloser
	reads chan any
}

func (b *answered) Unwrap() io.ReadCloser { return b.ReadCloser }

func (b *answered) Close() error {
	b.reads <- hello
	return b.ReadCloser.Close()
}
