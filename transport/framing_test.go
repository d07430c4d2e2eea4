package transport_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/internal/badserver"
)

// A response that has no body has http.NoBody, whatever its header announces, and its connection is there for the next
// request without a Close; a HEAD's length is the one that a GET would bring.
func TestResponsesWithoutABody(t *testing.T) {
	for name, tt := range map[string]struct {
		method, raw string
		length      int64
	}{
		"204":               {http.MethodGet, "HTTP/1.1 204 No Content\r\n\r\n", 0},
		"304":               {http.MethodGet, "HTTP/1.1 304 Not Modified\r\n\r\n", 0},
		"304 with a length": {http.MethodGet, "HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\n\r\n", 0},
		"304 in chunks":     {http.MethodGet, "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", 0},
		"HEAD":              {http.MethodHead, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", 100},
		"HEAD in chunks":    {http.MethodHead, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", -1},
		"HEAD, no length":   {http.MethodHead, "HTTP/1.1 200 OK\r\n\r\n", -1},
		"HEAD, gzip":        {http.MethodHead, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 9\r\n\r\n", 9},
		"length 0":          {http.MethodGet, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 0},
		"length 0, gzip":    {http.MethodGet, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 0\r\n\r\n", 0},
	} {
		t.Run(name, func(t *testing.T) {
			againstBad(t, func(t *testing.T, rt roundTripper, server *badserver.Server) {
				for range 3 {
					req, err := http.NewRequestWithContext(t.Context(), tt.method, server.URL, nil)
					require.NoError(t, err)
					resp, err := rt.RoundTrip(req)
					require.NoError(t, err)
					assert.Equal(t, http.NoBody, resp.Body)
					assert.Equal(t, tt.length, resp.ContentLength)
				}
				assert.Equal(t, 1, server.Accepted())
			}, badserver.Script{badserver.Repeat{Script: badserver.Script{badserver.ReadRequest{}, badserver.Write(tt.raw)}}})
		})
	}
}

// A body of known length ends there, one in chunks at the last of them, and any other with the connection; one that
// the connection ends before is exactly io.ErrUnexpectedEOF.
func TestEndsOfBodies(t *testing.T) {
	for name, tt := range map[string]struct {
		raw, body string
		err       error
		trailer   bool // cut in the trailer
	}{
		"no length":             {"HTTP/1.1 200 OK\r\n\r\nhello", "hello", nil, false},
		"no length, empty":      {"HTTP/1.1 200 OK\r\n\r\n", "", nil, false},
		"HTTP/1.0":              {"HTTP/1.0 200 OK\r\n\r\nhello", "hello", nil, false},
		"length":                {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello", nil, false},
		"more than the length":  {"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhello", "hell", nil, false},
		"less than the length":  {"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello", "hello", io.ErrUnexpectedEOF, false},
		"nothing of the length": {"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n", "", io.ErrUnexpectedEOF, false},
		"HTTP/1.0, less":        {"HTTP/1.0 200 OK\r\nContent-Length: 6\r\n\r\nhello", "hello", io.ErrUnexpectedEOF, false},
		"chunks":                {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "hello", nil, false},
		"no chunk":              {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "", io.ErrUnexpectedEOF, false},
		"half a chunk":          {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhello", "hello", io.ErrUnexpectedEOF, false},
		"no last chunk":         {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "hello", io.ErrUnexpectedEOF, false},
		"half a last chunk":     {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n", "hello", io.ErrUnexpectedEOF, true},
		"half a trailer":        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nA: b\r\n", "hello", io.ErrUnexpectedEOF, true},
	} {
		t.Run(name, func(t *testing.T) {
			againstBad(t, func(t *testing.T, rt roundTripper, server *badserver.Server) {
				for range 2 {
					_, got, err := do(t, rt, http.MethodGet, server.URL, "", nil)
					_, std := rt.(*http.Transport)
					if std && name == "more than the length" {
						return // the byte behind may fail net/http's next request
					}
					assert.Equal(t, tt.body, got)
					if std && tt.trailer {
						assert.Error(t, err) // in words of its own
					} else {
						assert.Equal(t, tt.err, err)
					}
				}
				assert.Equal(t, 2, server.Accepted())
			}, badserver.Script{badserver.ReadRequest{}, badserver.Write(tt.raw), badserver.Close{}})
		})
	}
}

// A connection serves on as HTTP/1.1 does unless somebody says close, and as HTTP/1.0 does if the server says
// keep-alive.
func TestKeepAlive(t *testing.T) {
	for raw, dials := range map[string]int{
		"HTTP/1.1 200 OK\r\n":                           1,
		"HTTP/1.1 200 OK\r\nConnection: close\r\n":      2,
		"HTTP/1.1 200 OK\r\nConnection: foo, Close\r\n": 2,
		"HTTP/1.0 200 OK\r\n":                           2,
		"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\n": 1,
		"HTTP/1.0 200 OK\r\nConnection: close\r\n":      2,
	} {
		t.Run(raw, func(t *testing.T) {
			againstBad(t, func(t *testing.T, rt roundTripper, server *badserver.Server) {
				for range 2 {
					_, got, err := do(t, rt, http.MethodGet, server.URL, "", nil)
					require.NoError(t, err)
					assert.Equal(t, "ok", got)
				}
				assert.Equal(t, dials, server.Accepted())
			}, badserver.Script{badserver.Repeat{Script: badserver.Script{
				badserver.ReadRequest{}, badserver.Write(raw + "Content-Length: 2\r\n\r\nok"),
			}}})
		})
	}
}

// Where a connection ends without a byte of an answer, the error is what the connection said.
func TestErrorOnTheFirstByte(t *testing.T) {
	againstBad(t, func(t *testing.T, rt roundTripper, server *badserver.Server) {
		_, _, err := do(t, rt, http.MethodGet, server.URL, "", nil)
		assert.ErrorIs(t, err, io.EOF) // net/http says so too, in words of its own
	}, badserver.Script{badserver.ReadRequest{}, badserver.Close{}})
}

// ResponseHeaderTimeout is a timeout as net.Error tells it, counts from the end of the upload, and ends with the
// response's head: a slow body is not its business.
func TestResponseHeaderTimeoutEndsWithTheHead(t *testing.T) {
	const timeout, longer = 800 * time.Millisecond, time.Second // the head must come within it
	handler := func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return
		}
		if r.URL.Path == "/silent" {
			<-r.Context().Done()
			return
		}
		_ = http.NewResponseController(w).Flush()
		time.Sleep(longer) // the slowness is the subject
		_, _ = io.WriteString(w, "slow")
	}
	everywhere(t, handler, func(s *story) {
		s.Parallel()
		r, w := io.Pipe()
		time.AfterFunc(longer, func() { _ = w.Close() })
		assert.Equal(s, "slow", s.read(s.send(s.request(http.MethodPost, "/", r))))

		_, err := s.rt.RoundTrip(s.request(http.MethodGet, "/silent", nil))
		var ne net.Error
		require.ErrorAs(s, err, &ne)
		assert.True(s, ne.Timeout())
		if s.ours != nil {
			assert.ErrorIs(s, err, context.DeadlineExceeded)
		}
	}, func(tr *http.Transport) { tr.ResponseHeaderTimeout = timeout })
}
