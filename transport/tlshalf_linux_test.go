package transport_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/internal/badserver"
)

const (
	muchRoom = 16 << 20 // for a request in one piece
	much     = 12 << 20 // more than the kernel takes from us while nobody reads
	briefOK  = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK"
)

// A server that answers a request of which it has read a part, and hangs up, is heard, on a connection that has served as well, although
// writing the request has failed.
func TestAnAnswerToAPartIsHeard(t *testing.T) {
	plainAndTLS(t, func(t *testing.T, https bool) {
		server, tr := hangup(t, https,
			badserver.ReadRequest{}, badserver.Write(briefOK), badserver.ReadHead{}, badserver.Read(4<<20),
			badserver.Write("HTTP/1.1 413 Too Large\r\nContent-Length: 4\r\n\r\nmuch"), badserver.Call(func() { time.Sleep(50 * time.Millisecond) }), badserver.Close{},
		)
		tr.WriteBufferSize = muchRoom
		resp, err := tr.RoundTrip(requestOf(t, t.Context(), server.URL, nil))
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		resp, err = tr.RoundTrip(requestOf(t, t.Context(), server.URL, make([]byte, much)))
		if assert.NoError(t, err) {
			got, _ := io.ReadAll(resp.Body)
			assert.Equal(t, "much", string(got))
			require.NoError(t, resp.Body.Close())
		}
	})
}

// The connection of a request that was cancelled when a part of it was written is used no more.
func TestAPartIsNotSalvaged(t *testing.T) {
	plainAndTLS(t, func(t *testing.T, https bool) {
		gaveUp := make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		server, tr := hangup(t, https,
			badserver.ReadRequest{}, badserver.Write(briefOK),
			badserver.ReadHead{}, badserver.Call(cancel), badserver.Wait(gaveUp), badserver.Write(briefOK), badserver.Stall{},
		)
		tr.WriteBufferSize, tr.SalvageTimeout = muchRoom, patience
		resp, err := tr.RoundTrip(requestOf(t, t.Context(), server.URL, nil))
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		_, err = tr.RoundTrip(requestOf(t, ctx, server.URL, make([]byte, much)))
		require.ErrorIs(t, err, context.Canceled)
		close(gaveUp)
		assert.Eventually(t, func() bool { return tr.Stats().Leased == 0 }, patience, tick)
		assert.Zero(t, tr.Stats().Salvaged)
		assert.Zero(t, tr.Stats().Idle)
	})
}

func requestOf(t *testing.T, ctx context.Context, url string, body []byte) *http.Request {
	t.Helper()
	method := http.MethodGet
	if body != nil {
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	require.NoError(t, err)
	return req
}
