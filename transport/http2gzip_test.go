package transport_test

import (
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"

	"github.com/watertight-go/watertight/internal/badserver"
	"github.com/watertight-go/watertight/transport"
)

// misleading answers each request with so many bytes behind fields that do not fit, and tells how much of the connection's window is given
// back. The streams do not end unless they are to.
func misleading(end bool, size int, given chan<- uint32, fields ...string) func(*badserver.Frames) error {
	return func(f *badserver.Frames) error {
		for {
			got, err := f.ReadFrame()
			if err != nil {
				return err
			}
			switch got := got.(type) {
			case *http2.MetaHeadersFrame:
				err = errors.Join(f.Head(got.StreamID, false, append([]string{":status", "200"}, fields...)...),
					f.WriteData(got.StreamID, end, []byte(strings.Repeat("x", size))))
			case *http2.WindowUpdateFrame:
				if got.StreamID == 0 {
					given <- got.Increment
				}
			default:
				err = f.Answer(got)
			}
			if err != nil {
				return err
			}
		}
	}
}

// A body that cannot be decompressed ends its stream, and gives back all of the window, also if nobody closes it.
func TestHTTP2GzipThatIsNone(t *testing.T) {
	const size = 16 << 10
	for _, end := range []bool{false, true} {
		given := make(chan uint32, 100)
		server := badserver.Start(t, speaks(misleading(end, size, given, "content-encoding", "gzip")))
		tr := cleartext(t)
		tr.HTTP2 = &http.HTTP2Config{MaxReceiveBufferPerConnection: 128 << 10}
		for range 20 { // three times the window
			resp := mustGet(t, tr, server.URL)
			_, err := resp.Body.Read(make([]byte, 1))
			require.ErrorIs(t, err, gzip.ErrHeader)
			_, err = resp.Body.Read(make([]byte, 1))
			require.ErrorIs(t, err, gzip.ErrHeader)
			require.Eventually(t, func() bool { return tr.Stats().Leased == 0 }, patience, tick, "end: %v", end)
		}
		assert.Equal(t, 1, server.Accepted())
		wantWindow(t, given, 18*size)
	}
}

// wantWindow wants so much to be given back of a window, after what makes it as large as it is.
func wantWindow(t *testing.T, given <-chan uint32, want int) {
	<-given
	back := 0
	require.Eventually(t, func() bool {
		for len(given) > 0 {
			back += int(<-given)
		}
		return back > want
	}, patience, tick)
}

// What a body has beyond its announced length is given back to the window as well.
func TestHTTP2MoreThanAnnounced(t *testing.T) {
	const size = 16 << 10
	for _, end := range []bool{false, true} {
		given := make(chan uint32, 100)
		server := badserver.Start(t, speaks(misleading(end, size, given, "content-length", "10000")))
		tr := cleartext(t)
		tr.HTTP2 = &http.HTTP2Config{MaxReceiveBufferPerConnection: 128 << 10}
		for range 20 {
			resp := mustGet(t, tr, server.URL)
			_, err := io.ReadFull(resp.Body, make([]byte, 32<<10))
			require.ErrorContains(t, err, "more than declared")
			require.NoError(t, resp.Body.Close())
			require.Eventually(t, func() bool { return tr.Stats().Leased == 0 }, patience, tick, "end: %v", end)
		}
		assert.Equal(t, 1, server.Accepted())
		wantWindow(t, given, 18*size)
	}
}

// Close ends a Read that waits for the first bytes of what is to be decompressed, and the stream.
func TestHTTP2GzipIsClosedBeforeItBegins(t *testing.T) {
	reset := make(chan http2.ErrCode, 1)
	pinged(t, nil, func(f *badserver.Frames) error {
		stream, err := f.AwaitRequest()
		if err == nil {
			err = f.Head(stream, false, ":status", "200", "content-encoding", "gzip")
		}
		for err == nil {
			var got http2.Frame
			if got, err = f.ReadFrame(); err == nil {
				if rst, ok := got.(*http2.RSTStreamFrame); ok {
					reset <- rst.ErrCode
				}
				err = f.Answer(got)
			}
		}
		return err
	}, func(t *testing.T, tr *transport.Transport) {
		resp := mustGet(t, tr, "http://a.example/")
		read := make(chan error, 1)
		go func() {
			_, err := resp.Body.Read(make([]byte, 1))
			read <- err
		}()
		time.Sleep(time.Second) // it waits
		require.NoError(t, resp.Body.Close())
		time.Sleep(time.Second)
		select {
		case err := <-read:
			assert.ErrorIs(t, err, http.ErrBodyReadAfterClose)
		default:
			require.NoError(t, tr.Close())
			assert.Fail(t, "Read goes on")
		}
		assert.Len(t, reset, 1)
		assert.Zero(t, tr.Stats().Leased)
		_, err := io.ReadAll(resp.Body)
		require.ErrorIs(t, err, http.ErrBodyReadAfterClose)
	})
}
