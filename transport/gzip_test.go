package transport_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// zipped returns bytes compressed.
func zipped(t *testing.T, b []byte) string {
	var buf bytes.Buffer
	zw := gzip.NewWriter(&buf)
	_, err := zw.Write(b)
	require.NoError(t, err)
	require.NoError(t, zw.Close())
	return buf.String()
}

// Gzip is asked for, and taken off, only where the caller did not speak of codings himself, or of ranges, which count
// bytes; a HEAD asks for no body.
func TestGzipOnlyIfAskedFor(t *testing.T) {
	raw := zipped(t, []byte("hello"))
	handler := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Set("Asked", fmt.Sprint(r.Header["Accept-Encoding"]))
		_, _ = io.WriteString(w, raw)
	}
	for name, tt := range map[string]struct {
		change       func(*http.Request)
		off          bool
		asked, body  string
		uncompressed bool
	}{
		"plain":       {func(*http.Request) {}, false, "[gzip]", "hello", true},
		"off":         {func(*http.Request) {}, true, "[]", raw, false},
		"own gzip":    {func(r *http.Request) { r.Header.Set("Accept-Encoding", "gzip") }, false, "[gzip]", raw, false},
		"identity":    {func(r *http.Request) { r.Header.Set("Accept-Encoding", "identity") }, false, "[identity]", raw, false},
		"range":       {func(r *http.Request) { r.Header.Set("Range", "bytes=0-") }, false, "[]", raw, false},
		"HEAD":        {func(r *http.Request) { r.Method = http.MethodHead }, false, "[]", "", false},
		"empty value": {func(r *http.Request) { r.Header["Accept-Encoding"] = nil }, false, "[gzip]", "hello", true},
	} {
		t.Run(name, func(t *testing.T) {
			everywhere(t, handler, func(s *story) {
				req := s.request(http.MethodGet, "/", nil)
				tt.change(req)
				resp := s.send(req)
				assert.Equal(s, tt.asked, resp.Header.Get("Asked"))
				assert.Equal(s, tt.uncompressed, resp.Uncompressed)
				assert.Equal(s, !tt.uncompressed, resp.Header.Get("Content-Encoding") == "gzip")
				assert.Equal(s, tt.body, s.read(resp))
			}, func(tr *http.Transport) { tr.DisableCompression = tt.off })
		})
	}
}

// Streams that are damaged are errors, and again at the next Read; one cut short is exactly io.ErrUnexpectedEOF. Streams
// of several members, and none at all, are fine. Whatever it was, the next request is served.
func TestGzipStreams(t *testing.T) {
	for _, size := range []int{5, 200_000} {
		want := pattern(size)
		whole := zipped(t, want)
		flipped := []byte(whole)
		flipped[len(flipped)-6] ^= 1 // in the checksum
		for name, tt := range map[string]struct {
			raw  string
			want []byte
			err  error
		}{
			"whole":             {whole, want, nil},
			"two members":       {whole + whole, append(pattern(size), want...), nil},
			"nothing":           {"", []byte{}, nil},
			"half a header":     {whole[:5], []byte{}, io.ErrUnexpectedEOF},
			"header only":       {whole[:10], []byte{}, io.ErrUnexpectedEOF},
			"no checksum":       {whole[:len(whole)-8], want, io.ErrUnexpectedEOF},
			"half a checksum":   {whole[:len(whole)-4], want, io.ErrUnexpectedEOF},
			"wrong checksum":    {string(flipped), want, gzip.ErrChecksum},
			"no gzip":           {"hello, this is not gzip", []byte{}, gzip.ErrHeader},
			"garbage behind it": {whole + "garbage behind", want, gzip.ErrHeader},
		} {
			t.Run(fmt.Sprint(name, " ", size), func(t *testing.T) {
				handler := func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("Content-Encoding", "gzip")
					_ = http.NewResponseController(w).Flush() // in chunks
					_, _ = io.WriteString(w, tt.raw)
				}
				everywhere(t, handler, func(s *story) {
					for range 2 {
						resp := s.get("/")
						got, err := io.ReadAll(resp.Body)
						assert.True(s, bytes.Equal(tt.want, got), "%d bytes", len(got))
						assert.Equal(s, tt.err, err)
						_, again := resp.Body.Read(make([]byte, 1))
						if err == nil {
							err = io.EOF
						}
						assert.Equal(s, err, again)
						require.NoError(s, resp.Body.Close())
						_, again = resp.Body.Read(make([]byte, 1))
						assert.Error(s, again)
						assert.False(s, errors.Is(again, io.EOF), "EOF after Close")
					}
				})
			})
		}
	}
}
