package transport_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/internal/badserver"
)

// unanswered are the scripts of a server that serves one request on its first connection, takes a second one and
// closes, and answers on its second connection once it has read that request's body of n bytes.
func unanswered(n int) []badserver.Script {
	return []badserver.Script{
		{badserver.ReadRequest{}, badserver.Write(okResponse), badserver.ReadRequest{}, badserver.Close{}},
		{badserver.ReadHead{}, badserver.Read(n), badserver.Write(okResponse), badserver.Stall{}},
	}
}

// keyed makes a request one that may be sent twice, by the caller's word.
func keyed(r *http.Request) { r.Header["Idempotency-Key"] = nil }

// A body that is sent again is a fresh one from GetBody, whole and from its beginning; each is closed once, and the
// response refers to the caller's request.
func TestRetryRewindsTheBody(t *testing.T) {
	const size = 100_000 // more than goes out with the head
	againstBad(t, func(t *testing.T, rt roundTripper, server *badserver.Server) {
		_, _, err := do(t, rt, http.MethodGet, server.URL, "", nil)
		require.NoError(t, err)
		bodies := []*countedBody{{Reader: strings.NewReader(strings.Repeat("a", size))}}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, bodies[0])
		require.NoError(t, err)
		req.ContentLength = size
		keyed(req)
		req.GetBody = func() (io.ReadCloser, error) {
			bodies = append(bodies, &countedBody{Reader: strings.NewReader(strings.Repeat("a", size))})
			return bodies[len(bodies)-1], nil
		}
		resp, err := rt.RoundTrip(req)
		require.NoError(t, err)
		assert.Same(t, req, resp.Request)
		assert.Same(t, bodies[0], req.Body)
		require.NoError(t, resp.Body.Close())
		require.Len(t, bodies, 2)
		for _, b := range bodies {
			require.Eventually(t, func() bool { return b.closes.Load() == 1 }, 10*time.Second, time.Millisecond, "closes")
		}
	}, unanswered(size)...)
}

// A body that cannot be had again ends the request with the error of GetBody, and nothing is sent.
func TestRetryWithoutASecondBody(t *testing.T) {
	againstBad(t, func(t *testing.T, rt roundTripper, server *badserver.Server) {
		_, _, err := do(t, rt, http.MethodGet, server.URL, "", nil)
		require.NoError(t, err)
		want := errors.New("the file is gone")
		var body *countedBody
		_, _, err = do(t, rt, http.MethodPost, server.URL, "hello", func(r *http.Request) {
			keyed(r)
			body = &countedBody{Reader: strings.NewReader("hello")}
			r.Body = body
			r.GetBody = func() (io.ReadCloser, error) { return nil, want }
		})
		assert.Equal(t, want, err)
		assert.EqualValues(t, 1, body.closes.Load(), "closes")
		assert.Equal(t, 1, server.Accepted())
	}, unanswered(5)...)
}

// An upload that is reset in the middle is sent again as a small request is. net/http does so or not, as its goroutine
// that reads or the one that writes is the first to see the reset.
func TestRetryOfAnInterruptedUpload(t *testing.T) {
	const size = 4 << 20 // more than the sockets take
	againstBad(t, func(t *testing.T, rt roundTripper, server *badserver.Server) {
		_, _, err := do(t, rt, http.MethodGet, server.URL, "", nil)
		require.NoError(t, err)
		_, got, err := do(t, rt, http.MethodPut, server.URL, strings.Repeat("a", size), keyed)
		if _, std := rt.(*http.Transport); std && err != nil {
			return
		}
		require.NoError(t, err)
		assert.Equal(t, "ok", got)
	},
		badserver.Script{badserver.ReadRequest{}, badserver.Write(okResponse), badserver.ReadHead{}, badserver.Close{}},
		badserver.Script{badserver.ReadHead{}, badserver.Read(size), badserver.Write(okResponse), badserver.Stall{}},
	)
}

// Where the first byte of an answer arrived, the request is not sent again, whatever ends the connection and whoever
// sees it.
func TestNoRetryAfterAResponseByte(t *testing.T) {
	for name, tt := range map[string]struct {
		read, end badserver.Step
	}{
		"closed":              {badserver.ReadRequest{}, badserver.Close{}},
		"reset":               {badserver.ReadRequest{}, badserver.RST{}},
		"reset while we sent": {badserver.ReadHead{}, badserver.RST{}},
	} {
		t.Run(name, func(t *testing.T) {
			againstBad(t, func(t *testing.T, rt roundTripper, server *badserver.Server) {
				_, _, err := do(t, rt, http.MethodGet, server.URL, "", nil)
				require.NoError(t, err)
				_, _, err = do(t, rt, http.MethodPost, server.URL, strings.Repeat("a", 4<<20), keyed)
				assert.Error(t, err)
				assert.Equal(t, 1, server.Accepted())
			}, badserver.Script{
				badserver.ReadRequest{}, badserver.Write(okResponse),
				tt.read, badserver.Write("HTTP/1.1 102 Processing\r\n\r\n"), tt.end,
			})
		})
	}
}
