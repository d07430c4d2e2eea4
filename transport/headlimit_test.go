package transport_test

import (
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
