package transport_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/internal/memnet"
	"github.com/watertight-go/watertight/transport"
)

var errStopped = errors.New("the caller stopped")

// An upload that ends once the response's head was read, and before RoundTrip has returned it, does not take it from the caller.
func TestUploadEndsBehindTheHead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n memnet.Network
		l, err := n.Listen("a.example:80")
		require.NoError(t, err)
		go beginsToAnswer(l, "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 403 Forbidden\r\nContent-Length: 10\r\n\r\n", begunAnswer)
		tr := &transport.Transport{DialContext: n.DialContext}
		r, w := io.Pipe()
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(int, textproto.MIMEHeader) error {
			_ = w.CloseWithError(errStopped)
			synctest.Wait() // until that has ended the exchange, whose head is in the buffer
			return nil
		}})
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://a.example/", r)
		require.NoError(t, err)
		resp, err := tr.RoundTrip(req)
		require.NoError(t, err)
		assert.Equal(t, http.StatusForbidden, resp.StatusCode)
		got, err := io.ReadAll(resp.Body)
		assert.Equal(t, begunAnswer, string(got))
		assert.Equal(t, errStopped, err)
		require.NoError(t, resp.Body.Close())
		require.NoError(t, tr.Close())
		require.NoError(t, l.Close())
		synctest.Wait()
		assert.Zero(t, n.Open(), "ends of connections")
	})
}
