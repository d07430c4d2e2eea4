package transport_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/internal/badserver"
	"github.com/watertight-go/watertight/transport"
)

// A head of exactly MaxResponseHeaderBytes is taken, informational ones before it included, and one of a byte more is not.
func TestHeadAtTheLimit(t *testing.T) {
	const limit = 20000
	for name, before := range map[string]string{"": "", "after a 103": "HTTP/1.1 103 Early Hints\r\n\r\n"} {
		for _, size := range []int{limit - 1, limit, limit + 1, 2 * limit} {
			rest := "HTTP/1.1 204 No Content\r\nA: \r\n\r\n"
			fill := strings.Repeat("b", size-len(before)-len(rest))
			server := badserver.Start(t, badserver.Script{badserver.ReadRequest{},
				badserver.Write(before + strings.Replace(rest, "A: ", "A: "+fill, 1)), badserver.FIN{}})
			tr := &transport.Transport{MaxResponseHeaderBytes: limit}
			defer tr.Close()
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
			require.NoError(t, err)
			resp, err := tr.RoundTrip(req)
			if size > limit {
				assert.ErrorContains(t, err, "MaxResponseHeaderBytes", "%s: %d", name, size)
				continue
			}
			require.NoError(t, err, "%s: %d", name, size)
			assert.Equal(t, fill, resp.Header.Get("A"))
		}
	}
}

// A trailer section must fit into the buffer, and the error of one that does not names the field to change.
func TestTrailerAtTheLimit(t *testing.T) {
	const size = 20000
	answer := chunked("", 5, "A: "+strings.Repeat("b", size)+"\r\n")
	for buffer, want := range map[int]string{0: "its trailer section exceeds 8192 bytes (ReadBufferSize)", 2 * size: ""} {
		server := badserver.Start(t, badserver.Script{badserver.ReadRequest{}, badserver.Write(answer), badserver.FIN{}})
		tr := &transport.Transport{ReadBufferSize: buffer}
		defer tr.Close()
		resp := mustGet(t, tr, server.URL)
		_, err := io.ReadAll(resp.Body)
		require.NoError(t, resp.Body.Close())
		if want != "" {
			assert.ErrorContains(t, err, want)
			continue
		}
		require.NoError(t, err)
		assert.Len(t, resp.Trailer.Get("A"), size)
	}
}
