//go:build linux

package transport_test

import (
	"bufio"
	"net/http"
	"net/http/httptrace"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/internal/sockstat"
	"github.com/watertight-go/watertight/transport"
)

// A server hangs up after a request got its connection and before it is written: nobody can have seen the request, and it is sent
// on another connection, whatever its method, and once.
func TestHangupBetweenAcquireAndWrite(t *testing.T) {
	for _, https := range []bool{false, true} {
		server := startRaw(t, https)
		tr := &transport.Transport{TLSClientConfig: server.config}
		defer tr.Close()
		served := make(chan struct{})
		hangup := make(chan struct{})
		go func() {
			defer close(served)
			first := <-server.conns
			answer(t, bufio.NewReader(first), first, okResponse)
			<-hangup
			assert.NoError(t, first.Close())
			second := <-server.conns
			answer(t, bufio.NewReader(second), second, okResponse)
			defer second.Close()
		}()
		require.NoError(t, mustGet(t, tr, server.url()).Body.Close())
		hung := false
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) {
			if hung {
				return
			}
			assert.True(t, i.Reused)
			hung = true
			close(hangup)
			require.Eventually(t, func() bool { return tr.Hangups() == 1 }, patience, tick)
			assert.Equal(t, sockstat.Counts{sockstat.CloseWait: 1}, sockstat.Count(socketsTo(t, server.url())))
		}})
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, server.url(), strings.NewReader("once"))
		require.NoError(t, err)
		req.GetBody = nil
		resp, err := tr.RoundTrip(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		assert.EqualValues(t, 2, tr.Stats().Dials)
		assert.EqualValues(t, 1, tr.Stats().Retries)
		<-served
	}
}
