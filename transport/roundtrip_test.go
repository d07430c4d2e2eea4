package transport_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// echo answers with the request's method, and its body behind it.
func echo(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "text/plain")
	fmt.Fprintf(w, "%s %s", r.Method, b)
}

// sized answers with as many bytes as the path says: a known pattern, so that a lost or doubled byte shows.
func sized(w http.ResponseWriter, r *http.Request) {
	var n int
	if _, err := fmt.Sscanf(r.URL.Path, "/%d", &n); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if r.URL.Query().Has("length") {
		w.Header().Set("Content-Length", fmt.Sprint(n))
	}
	_, _ = w.Write(pattern(n))
}

func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i + i>>8)
	}
	return b
}

// A request and its body arrive, and the answer comes back, on one connection for all of them.
func TestExchangesShareAConnection(t *testing.T) {
	everywhere(t, echo, func(s *story) {
		for i, body := range []string{"", "a", strings.Repeat("b", 4000), strings.Repeat("c", 1<<20)} {
			method := http.MethodPost
			if i == 0 {
				method = http.MethodGet
			}
			resp := s.send(s.request(method, "/", strings.NewReader(body)))
			assert.Equal(s, http.StatusOK, resp.StatusCode)
			assert.Equal(s, method+" "+body, s.read(resp))
		}
		s.wantDials(1)
	})
}

// Bodies of all framings and sizes arrive whole, read in pieces of any size.
func TestBodiesArriveWhole(t *testing.T) {
	everywhere(t, sized, func(s *story) {
		for _, n := range []int{0, 1, 100, 4 << 10, 9 << 10, 70 << 10, 1 << 20} {
			for _, query := range []string{"", "?length"} {
				for _, piece := range []int{1, 100, 3000, 64 << 10} {
					if piece == 1 && n > 10<<10 {
						continue
					}
					resp := s.get(fmt.Sprintf("/%d%s", n, query))
					var got bytes.Buffer
					_, err := io.CopyBuffer(struct{ io.Writer }{&got}, struct{ io.Reader }{resp.Body}, make([]byte, piece))
					require.NoError(s, err)
					require.True(s, bytes.Equal(pattern(n), got.Bytes()), "%d bytes%s in pieces of %d", n, query, piece)
					require.NoError(s, resp.Body.Close())
				}
			}
		}
		s.wantDials(1)
	})
}

// A body read to its end frees the connection without a Close, and so does a response without a body.
func TestEndOfBodyFreesTheConnection(t *testing.T) {
	everywhere(t, sized, func(s *story) {
		for range 3 {
			resp := s.get("/100000")
			_, err := io.Copy(io.Discard, resp.Body)
			require.NoError(s, err)
			_ = s.send(s.request(http.MethodHead, "/0?length", nil))
		}
		s.wantDials(1)
	})
}

// After Close a Read is an error, whatever kind of body it is and wherever it stood, and a second Close is harmless.
func TestReadAfterClose(t *testing.T) {
	everywhere(t, sized, func(s *story) {
		for _, path := range []string{"/100", "/1000000", "/100?whole", "/1000000?whole"} {
			resp := s.get(path)
			if strings.HasSuffix(path, "whole") {
				_, err := io.Copy(io.Discard, resp.Body)
				require.NoError(s, err)
			}
			require.NoError(s, resp.Body.Close())
			_, err := resp.Body.Read(make([]byte, 1))
			assert.Error(s, err)
			if s.ours != nil {
				assert.ErrorIs(s, err, http.ErrBodyReadAfterClose)
			}
			assert.NoError(s, resp.Body.Close())
		}
	})
}

// The caller's context ends a request while it waits for the response and while its body is read, with the context's
// own error.
func TestContextEndsTheRequest(t *testing.T) {
	cause := errors.New("enough")
	release := make(chan struct{})
	handler := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/body" {
			_, _ = w.Write(pattern(20000))
			w.(http.Flusher).Flush()
		}
		select {
		case <-release:
		case <-r.Context().Done():
		}
		panic(http.ErrAbortHandler)
	}
	defer close(release)
	everywhere(t, handler, func(s *story) {
		ctx, cancel := context.WithCancelCause(s.Context())
		time.AfterFunc(20*time.Millisecond, func() { cancel(cause) })
		resp, err := s.rt.RoundTrip(s.request(http.MethodGet, "/head", nil).WithContext(ctx))
		if s.ours != nil { // net/http sometimes finds the answer of a server that saw it leave
			assert.ErrorIs(s, err, cause)
		}
		if err == nil {
			assert.NoError(s, resp.Body.Close())
		}

		ctx, cancel = context.WithCancelCause(s.Context())
		resp = s.send(s.request(http.MethodGet, "/body", nil).WithContext(ctx))
		_, err = io.ReadFull(resp.Body, make([]byte, 20000))
		require.NoError(s, err)
		time.AfterFunc(20*time.Millisecond, func() { cancel(cause) })
		_, err = resp.Body.Read(make([]byte, 1))
		if s.ours != nil { // net/http sometimes takes the end it made itself for the body's
			assert.ErrorIs(s, err, cause)
		}
		assert.NoError(s, resp.Body.Close())
	})
}

// Gzip that we asked for is taken off, small or large; its end frees the connection.
func TestTransparentGzip(t *testing.T) {
	handler := func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept-Encoding") != "gzip" {
			http.Error(w, "no gzip asked for", http.StatusBadRequest)
			return
		}
		var n int
		_, _ = fmt.Sscanf(r.URL.Path, "/%d", &n)
		w.Header().Set("Content-Encoding", "GZIP")
		zw := gzip.NewWriter(w)
		_, _ = zw.Write(pattern(n))
		_ = zw.Close()
	}
	everywhere(t, handler, func(s *story) {
		for _, n := range []int{1, 5000, 3 << 20} {
			resp := s.get(fmt.Sprintf("/%d", n))
			assert.True(s, resp.Uncompressed)
			assert.Empty(s, resp.Header.Values("Content-Encoding"))
			assert.Empty(s, resp.Header.Values("Content-Length"))
			assert.EqualValues(s, -1, resp.ContentLength)
			got, err := io.ReadAll(resp.Body)
			require.NoError(s, err)
			assert.True(s, bytes.Equal(pattern(n), got))
		}
		s.wantDials(1)
	})
}
