package transport_test

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/transport"
)

// A server of TLS 1.2 that asks for a handshake while its connection is idle gets no request there, not even one that could be sent once
// only: a look does not wait for its answer.
func TestRenegotiationOfAnIdleConnection(t *testing.T) {
	transport.SkipUnlessSealable(t)
	for name, trace := range map[string]*httptrace.ClientTrace{"looks as it writes": nil, "looks before": {}} {
		t.Run(name, func(t *testing.T) {
			answered, asked, read := make(chan struct{}), make(chan struct{}), make(chan int, 1)
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }))
			startPlaying(t, server, func(c net.Conn) {
				defer c.Close()
				sc, err := transport.NewSealedConn(c, server.TLS, tls.VersionTLS12)
				if !assert.NoError(t, err) {
					return
				}
				buf := make([]byte, 1<<12)
				_, err = sc.Read(buf)
				assert.NoError(t, err)
				_, _ = io.WriteString(sc, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
				<-answered
				assert.NoError(t, sc.Renegotiate())
				close(asked)
				n, _ := sc.Read(buf)
				read <- n
			}, true)
			tr := &transport.Transport{TLSClientConfig: trust(server)}
			tr.TLSClientConfig.Renegotiation = tls.RenegotiateFreelyAsClient
			resp, err := tr.RoundTrip(requestOf(t, t.Context(), server.URL, nil))
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			close(answered)
			<-asked
			ctx := t.Context()
			if trace != nil {
				ctx = httptrace.WithClientTrace(ctx, trace)
			}
			req := requestOf(t, ctx, server.URL, []byte("once"))
			req.GetBody = nil
			resp, err = tr.RoundTrip(req)
			if assert.NoError(t, err) {
				got, err := io.ReadAll(resp.Body)
				assert.NoError(t, err)
				assert.Equal(t, "once", string(got))
			}
			assert.Zero(t, <-read, "bytes of the request")
			require.NoError(t, tr.Close())
		})
	}
}
