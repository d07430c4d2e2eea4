package transport_test

import (
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/internal/badserver"
	"github.com/watertight-go/watertight/transport"
)

// answeredEarly begins an upload, and reads so much of the response before it has ended.
func answeredEarly(t *testing.T, tr *transport.Transport, url string, before int) (upload *io.PipeWriter, resp *http.Response, got []byte) {
	r, w := io.Pipe()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, r)
	require.NoError(t, err)
	resp, err = tr.RoundTrip(req)
	require.NoError(t, err)
	got = make([]byte, before)
	_, err = io.ReadFull(resp.Body, got)
	require.NoError(t, err)
	return w, resp, got
}

// A part of an answer outlives the upload that its caller stops, with all that had arrived by then: the connection is gone at once, the
// part is read from memory, and behind it stands why the rest is missing.
func TestAPartOutlivesAStoppedUpload(t *testing.T) {
	for name, head := range map[string]string{
		"length":      "HTTP/1.1 413 Too Large\r\nContent-Length: 100000\r\n\r\n",
		"chunked":     "HTTP/1.1 413 Too Large\r\nTransfer-Encoding: chunked\r\n\r\nfffff\r\n",
		"until close": "HTTP/1.1 413 Too Large\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			plainAndTLS(t, func(t *testing.T, https bool) {
				for _, before := range []int{0, 1, 10000} {
					asked := make(chan struct{})
					server, tr := hangup(t, https, badserver.ReadHead{}, badserver.Write(head+absorbBody[:before]), badserver.Wait(asked),
						badserver.Write(absorbBody[before:]), badserver.Stall{})
					w, resp, got := answeredEarly(t, tr, server.URL, before)
					close(asked) // there is nothing that might read ahead
					require.Eventually(t, func() bool { return int(socketsTo(t, server.URL)[0].Unread) >= len(absorbBody)-before }, patience, tick)
					require.NoError(t, w.CloseWithError(errStopped))
					wantNoSocket(t, server)
					assert.Zero(t, tr.Stats().Leased)
					assert.Empty(t, tr.OpenBodies())
					rest, err := io.ReadAll(resp.Body)
					assert.Equal(t, errStopped, err)
					assert.True(t, absorbBody == string(got)+string(rest), len(rest))
					require.NoError(t, resp.Body.Close())
				}
			})
		})
	}
}
