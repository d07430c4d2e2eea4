package transport_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/internal/badserver"
	"github.com/watertight-go/watertight/transport"
)

// What is taken into memory of a body that has arrived shows in nothing until the caller reads: its trailers come at its end.
func TestRestOfHTTP2KeepsTrailers(t *testing.T) {
	speak := responds(func(f *badserver.Frames, stream uint32) error {
		return errors.Join(f.WriteData(stream, false, pattern(10000)), f.Head(stream, true, "declared", "a", "undeclared", "b"), f.Rest())
	})
	declaring := func(f *badserver.Frames) error {
		stream, err := f.AwaitRequest()
		if err != nil {
			return err
		}
		return errors.Join(f.Head(stream, false, ":status", "200", "trailer", "declared"), f.WriteData(stream, false, pattern(10000)),
			f.Head(stream, true, "declared", "a", "undeclared", "b"), f.Rest())
	}
	for _, speak := range []func(*badserver.Frames) error{speak, declaring} {
		pinged(t, nil, speak, func(t *testing.T, tr *transport.Transport) {
			tr.LeakTimeout = time.Minute
			resp := mustGet(t, tr, "http://a.example/")
			before := resp.Trailer
			time.Sleep(2 * time.Minute)
			for name, values := range resp.Trailer {
				assert.Equal(t, "Declared", name)
				assert.Nil(t, values)
			}
			b, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			assert.Equal(t, pattern(10000), b)
			assert.Equal(t, http.Header{"Declared": {"a"}, "Undeclared": {"b"}}, resp.Trailer)
			if before != nil {
				assert.Equal(t, resp.Trailer, before, "whoever kept it sees the values as well")
			}
			require.NoError(t, resp.Body.Close())
		})
	}
}

// A body that is decompressed is taken into memory within bounds, however much it becomes, and every byte is there for who reads it.
func TestRestOfHTTP2InflatesLittle(t *testing.T) {
	const size = 32 << 20
	var zipped bytes.Buffer
	w, err := gzip.NewWriterLevel(&zipped, gzip.BestSpeed)
	require.NoError(t, err)
	_, _ = io.Copy(w, io.LimitReader(endless{}, size))
	require.NoError(t, w.Close())
	speak := func(f *badserver.Frames) error {
		stream, err := f.AwaitRequest()
		if err != nil {
			return err
		}
		err = f.Head(stream, false, ":status", "200", "content-encoding", "gzip")
		for part := zipped.Bytes(); err == nil && len(part) > 0; {
			n := min(len(part), 16<<10)
			err = f.WriteData(stream, n == len(part), part[:n])
			part = part[n:]
		}
		return errors.Join(err, f.Rest())
	}
	pinged(t, &http.HTTP2Config{MaxReceiveBufferPerStream: 1 << 20}, speak, func(t *testing.T, tr *transport.Transport) {
		tr.LeakTimeout = time.Minute
		resp := mustGet(t, tr, "http://a.example/")
		synctest.Wait()
		before := allocated()
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		assert.Less(t, allocated()-before, uint64(size/4))
		n, err := io.Copy(io.Discard, resp.Body)
		require.NoError(t, err)
		assert.EqualValues(t, size, n)
		require.NoError(t, resp.Body.Close())
	})
}

// allocated returns how many bytes the process allocated so far.
func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

// A body that waited for "100 Continue" is not read when another answer came, not after its Close either.
func TestHTTP2ExpectAnsweredAtOnce(t *testing.T) {
	pinged(t, nil, func(f *badserver.Frames) error {
		stream, err := f.AwaitRequest()
		if err != nil {
			return err
		}
		return errors.Join(f.Head(stream, true, ":status", "417"), f.Rest())
	}, func(t *testing.T, tr *transport.Transport) {
		tr.ExpectContinueTimeout = time.Second
		body := &countedBody{Reader: strings.NewReader("hello")}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://a.example/", body)
		require.NoError(t, err)
		expecting(req)
		resp, err := tr.RoundTrip(req)
		require.NoError(t, err)
		assert.Equal(t, http.StatusExpectationFailed, resp.StatusCode)
		require.NoError(t, resp.Body.Close())
		time.Sleep(time.Minute)
		assert.Zero(t, body.reads.Load())
		assert.EqualValues(t, 1, body.closes.Load())
		assert.Zero(t, tr.Stats().Leased)
	})
}
