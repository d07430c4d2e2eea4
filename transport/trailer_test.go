package transport_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/internal/badserver"
)

// chunked is a response in chunks with a body of n bytes and what follows its last chunk.
func chunked(header string, n int, trailer string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n%s\r\n%x\r\n%s\r\n0\r\n%s\r\n", header, n, strings.Repeat("a", n), trailer)
}

// Announced trailer fields are there with nil values before the body is read, and have their values behind it, where
// those that were not announced join them; what frames messages does not. A body closed early leaves them as they were.
func TestTrailers(t *testing.T) {
	for name, tt := range map[string]struct {
		header, trailer string
		before, after   http.Header
	}{
		"none":        {"", "", nil, nil},
		"announced":   {"Trailer: a, B\r\n", "A: 1\r\nB: 2\r\nB: 3\r\n", http.Header{"A": nil, "B": nil}, http.Header{"A": {"1"}, "B": {"2", "3"}}},
		"missing":     {"Trailer: A\r\nTrailer: B\r\n", "B: 2\r\n", http.Header{"A": nil, "B": nil}, http.Header{"A": nil, "B": {"2"}}},
		"unannounced": {"", "A: 1\r\n", nil, http.Header{"A": {"1"}}},
		"one of two":  {"Trailer: A\r\n", "A: 1\r\nB: 2\r\n", http.Header{"A": nil}, http.Header{"A": {"1"}, "B": {"2"}}},
		"empty value": {"Trailer: A\r\n", "A:\r\n", http.Header{"A": nil}, http.Header{"A": {""}}},
	} {
		for _, size := range []int{1, 100_000} {
			t.Run(fmt.Sprint(name, " ", size), func(t *testing.T) {
				againstBad(t, func(t *testing.T, rt roundTripper, server *badserver.Server) {
					for _, whole := range []bool{true, false} {
						req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
						require.NoError(t, err)
						resp, err := rt.RoundTrip(req)
						require.NoError(t, err)
						assert.Equal(t, tt.before, resp.Trailer)
						assert.Empty(t, resp.Header.Values("Trailer"))
						want := tt.before
						if whole {
							want = tt.after
							_, err = io.Copy(io.Discard, resp.Body)
							require.NoError(t, err)
						}
						require.NoError(t, resp.Body.Close())
						if _, std := rt.(*http.Transport); whole || !std { // which has read on since Go 1.27
							assert.Equal(t, want, resp.Trailer)
						}
					}
				}, badserver.Script{badserver.Repeat{Script: badserver.Script{badserver.ReadRequest{}, badserver.Write(chunked(tt.header, size, tt.trailer))}}})
			})
		}
	}
}

// A trailer that says how messages are framed is refused where it is announced, as a request may be smuggled in it.
func TestForbiddenTrailers(t *testing.T) {
	for _, field := range []string{"Content-Length", "Transfer-Encoding", "Trailer"} {
		t.Run(field, func(t *testing.T) {
			againstBad(t, func(t *testing.T, rt roundTripper, server *badserver.Server) {
				_, _, err := do(t, rt, http.MethodGet, server.URL, "", nil)
				assert.ErrorContains(t, err, field)
			}, badserver.Script{badserver.ReadRequest{}, badserver.Write(chunked("Trailer: "+field+"\r\n", 1, "")), badserver.Stall{}})
		})
	}
}

// A settingReader calls set at its end.
type settingReader struct {
	io.Reader
	set func()
}

func (r settingReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err == io.EOF {
		r.set()
	}
	return n, err
}

// The values of a request's trailer may be set while its body is read, to its very end.
func TestRequestTrailerIsReadLast(t *testing.T) {
	handler := func(w http.ResponseWriter, r *http.Request) {
		announced := len(r.Trailer)
		_, _ = io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, announced, r.Trailer["Sum"], r.Trailer["Empty"])
	}
	everywhere(t, handler, func(s *story) {
		for _, size := range []int{0, 5, 100_000} {
			trailer := http.Header{"Sum": nil, "Empty": nil}
			req := s.request(http.MethodPost, "/", settingReader{
				strings.NewReader(strings.Repeat("a", size)),
				func() { trailer.Set("Sum", fmt.Sprint(size)) },
			})
			req.Trailer = trailer
			assert.Equal(s, fmt.Sprintf("2 [%d] []", size), s.read(s.send(req)))
		}
		s.wantDials(1)
	})
}

// A settingCloser calls set as it is closed.
type settingCloser struct {
	io.Reader
	set func()
}

func (c settingCloser) Close() error {
	c.set()
	return nil
}

// Over HTTP/1.1 they may be set as the body is closed, too.
func TestRequestTrailerIsReadAfterClose(t *testing.T) {
	handler := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, r.Trailer["Sum"])
	}
	everywhere1(t, handler, func(s *story) {
		for _, size := range []int{0, 5, 100_000} {
			trailer := http.Header{"Sum": nil}
			req := s.request(http.MethodPost, "/", settingCloser{
				strings.NewReader(strings.Repeat("a", size)),
				func() { trailer.Set("Sum", fmt.Sprint(size)) },
			})
			req.Trailer = trailer
			assert.Equal(s, fmt.Sprintf("[%d]", size), s.read(s.send(req)))
		}
		s.wantDials(1)
	})
}
