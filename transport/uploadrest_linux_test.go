package transport_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/transport"
)

// A small body that is here before its request is wholly sent gives its connection back once that is, whether or not anybody reads. Mostly
// the upload has sent all, and has yet to say so.
func TestASmallBodyWaitsForItsUpload(t *testing.T) {
	for name, wrap := range map[string]func(net.Conn) net.Conn{
		"own":     nil,
		"foreign": func(c net.Conn) net.Conn { return struct{ net.Conn }{c} },
	} {
		t.Run(name, func(t *testing.T) {
			plainAndTLS(t, func(t *testing.T, https bool) {
				server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					rc := http.NewResponseController(w)
					assert.NoError(t, rc.EnableFullDuplex())
					w.Header().Set("Content-Length", "9")
					_, _ = io.WriteString(w, "all of it")
					assert.NoError(t, rc.Flush())
					_, _ = io.Copy(io.Discard, r.Body)
				}))
				tr := new(transport.Transport)
				if wrap != nil {
					tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
						c, err := new(net.Dialer).DialContext(ctx, network, addr)
						if err != nil {
							return nil, err
						}
						return wrap(c), nil
					}
				}
				if https {
					server.StartTLS()
					tr.TLSClientConfig = trust(server)
				} else {
					server.Start()
				}
				defer server.Close()
				for _, before := range []int{0, 3} {
					w, resp, got := answeredEarly(t, tr, server.URL, before)
					assert.Equal(t, 1, tr.Stats().Leased)
					require.NoError(t, w.Close())
					require.Eventually(t, func() bool { return tr.Stats().Idle == 1 }, patience, tick, "the connection is held")
					assert.Empty(t, tr.OpenBodies())
					rest, err := io.ReadAll(resp.Body)
					require.NoError(t, err)
					assert.Equal(t, "all of it", string(got)+string(rest))
					require.NoError(t, resp.Body.Close())
				}
				assert.Equal(t, 1, int(tr.Stats().Dials))
				require.NoError(t, tr.Close())
			})
		})
	}
}
