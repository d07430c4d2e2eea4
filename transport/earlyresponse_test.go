package transport_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/internal/badserver"
	"github.com/watertight-go/watertight/transport"
)

// unsized makes a request's body one of unknown length.
func unsized(r *http.Request) { r.ContentLength = -1 }

// A server that refuses an upload, whatever its framing, and hangs up in the middle of it is heard: the answer is
// delivered whole, and never our failure to write.
func TestRefusalOfAnUpload(t *testing.T) {
	for name, framing := range map[string]func(*http.Request){"sized": nil, "chunked": unsized} {
		for _, status := range []string{"400 Bad Request", "401 Unauthorized", "413 Too Large"} {
			t.Run(name+" "+status[:3], func(t *testing.T) {
				againstBad(t, func(t *testing.T, rt roundTripper, server *badserver.Server) {
					code, got, err := do(t, rt, http.MethodPost, server.URL, strings.Repeat("a", 8<<20), framing)
					if _, std := rt.(*http.Transport); std && err != nil {
						return // net/http reports its failure to write where it sees that first
					}
					require.NoError(t, err)
					assert.Equal(t, status[:3], strconv.Itoa(code))
					assert.Equal(t, "no", got)
				}, badserver.Script{
					badserver.ReadHead{}, badserver.Read(100000),
					badserver.Write("HTTP/1.1 " + status + "\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno"), badserver.Close{},
				})
			})
		}
	}
}

// A server that hangs up during an upload without a word is an error, and the body is closed.
func TestHangupDuringAnUpload(t *testing.T) {
	for name, end := range map[string]badserver.Step{"closed": badserver.Close{}, "reset": badserver.RST{}} {
		t.Run(name, func(t *testing.T) {
			againstBad(t, func(t *testing.T, rt roundTripper, server *badserver.Server) {
				body := &countedBody{Reader: endless{}}
				_, _, err := do(t, rt, http.MethodPost, server.URL, "a", func(r *http.Request) {
					unsized(r)
					r.Body = body
				})
				assert.Error(t, err)
				require.Eventually(t, func() bool { return body.closes.Load() == 1 }, 10*time.Second, time.Millisecond, "closes")
			}, badserver.Script{badserver.ReadHead{}, badserver.Read(100000), end})
		})
	}
}

// A connection whose request is not wholly written is not used again, though its response is complete and says
// nothing of an end; the next request has another one.
func TestUnfinishedUploadCostsTheConnection(t *testing.T) {
	againstBad(t, func(t *testing.T, rt roundTripper, server *badserver.Server) {
		r, w := io.Pipe()
		defer w.Close()
		_, got, err := do(t, rt, http.MethodPost, server.URL, "a", func(req *http.Request) {
			unsized(req)
			req.Body = r
		})
		require.NoError(t, err)
		assert.Equal(t, "ok", got)
		if _, ours := rt.(*transport.Transport); ours {
			_, err = w.Write([]byte("more"))
			assert.Equal(t, io.ErrClosedPipe, err, "a write to the body that nobody reads")
		}
		_, got, err = do(t, rt, http.MethodGet, server.URL, "", nil)
		require.NoError(t, err)
		assert.Equal(t, "ok", got)
		assert.Equal(t, 2, server.Accepted())
	}, badserver.Script{badserver.ReadHead{}, badserver.Write(okResponse), badserver.Stall{}})
}

// An upload and its response go on side by side: each piece is answered before the next is sent, and the connection
// serves another request once both are over.
func TestUploadBesideItsResponse(t *testing.T) {
	handler := func(w http.ResponseWriter, r *http.Request) {
		c := http.NewResponseController(w)
		_ = c.EnableFullDuplex()
		_ = c.Flush()
		buf := make([]byte, 100)
		for {
			n, err := r.Body.Read(buf)
			_, _ = w.Write(buf[:n])
			if _ = c.Flush(); err != nil {
				return
			}
		}
	}
	everywhere(t, handler, func(s *story) {
		for range 2 {
			r, w := io.Pipe()
			resp := s.send(s.request(http.MethodPost, "/", r))
			for _, piece := range []string{"one", "two", "three"} {
				_, err := io.WriteString(w, piece)
				require.NoError(s, err)
				got := make([]byte, len(piece))
				_, err = io.ReadFull(resp.Body, got)
				require.NoError(s, err)
				assert.Equal(s, piece, string(got))
			}
			require.NoError(s, w.Close())
			assert.Empty(s, s.read(resp))
		}
		s.wantDials(1)
	})
}

// A body that fails after the response has begun ends the response too: it is never taken for a whole one.
func TestUploadFailsBesideItsResponse(t *testing.T) {
	want := errors.New("disk on fire")
	againstBad(t, func(t *testing.T, rt roundTripper, server *badserver.Server) {
		r, w := io.Pipe()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, r)
		require.NoError(t, err)
		resp, err := rt.RoundTrip(req)
		require.NoError(t, err)
		defer resp.Body.Close()
		_ = w.CloseWithError(want)
		_, err = io.ReadAll(resp.Body)
		require.Error(t, err)
		if _, ours := rt.(*transport.Transport); ours {
			assert.Equal(t, want, err)
		}
	}, badserver.Script{badserver.ReadHead{}, badserver.Write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegun"), badserver.Stall{}})
}

// A caller who has his answer stops sending, as one does who writes to a pipe and closes it once Do has returned. What the server said
// by then is not lost with the upload, whether its reading has begun or not.
func TestUploadIsStoppedByItsResponse(t *testing.T) {
	for framing, answer := range map[string]string{
		"length":  "HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\n\r\nforbidden",
		"chunked": "HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nforbidden\r\n0\r\n\r\n",
	} {
		for _, early := range []int{0, 1} {
			t.Run(fmt.Sprintf("%s, %d read before", framing, early), func(t *testing.T) {
				againstBad(t, func(t *testing.T, rt roundTripper, server *badserver.Server) {
					r, w := io.Pipe()
					req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, r)
					require.NoError(t, err)
					resp, err := rt.RoundTrip(req)
					require.NoError(t, err)
					defer resp.Body.Close()
					got := make([]byte, early, 100)
					_, err = io.ReadFull(resp.Body, got)
					require.NoError(t, err)
					_ = w.CloseWithError(io.ErrClosedPipe)
					if own, ours := rt.(*transport.Transport); ours {
						require.Eventually(t, func() bool { return own.Stats().Leased == 0 }, 10*time.Second, time.Millisecond)
						assert.Zero(t, own.Stats().Idle)
						assert.Empty(t, own.OpenBodies())
					}
					rest, err := io.ReadAll(resp.Body)
					require.NoError(t, err)
					assert.Equal(t, "forbidden", string(append(got, rest...)))
				}, badserver.Script{badserver.ReadHead{}, badserver.Write(answer), badserver.Stall{}})
			})
		}
	}
}
