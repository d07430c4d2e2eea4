//go:build linux

package transport_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/transport"
)

// A disguised connection is TLS of another package's, which tells what is beneath it.
type disguised struct {
	net.Conn
	tc *tls.Conn
}

func (d disguised) NetConn() net.Conn { return d.tc.NetConn() }

// customTLS are the connections that a DialTLSContext may return.
var customTLS = map[string]func(*tls.Conn) net.Conn{
	"tls.Conn":        func(tc *tls.Conn) net.Conn { return tc },
	"another's":       func(tc *tls.Conn) net.Conn { return disguised{tc, tc} },
	"another's, mute": func(tc *tls.Conn) net.Conn { return bare{tc} },
}

// An idle connection of the caller's TLS ends with its peer, at once and without a request, whether that says goodbye, hangs up
// without a word or says what nobody asked for; no socket is left. A caller is spared only where nothing happens.
func TestCustomTLSEndsWithItsPeer(t *testing.T) {
	deeds := map[string]func(*tls.Conn){
		"nothing":      func(*tls.Conn) {},
		"close_notify": func(c *tls.Conn) { _ = c.CloseWrite() },
		"408":          func(c *tls.Conn) { _, _ = io.WriteString(c, lateAnswer) },
		"close":        func(c *tls.Conn) { _ = c.Close() },
	}
	for name, end := range endings {
		deeds[name] = func(c *tls.Conn) { end(beneath(c)) }
	}
	for kind, wrap := range customTLS {
		for name, deed := range deeds {
			t.Run(kind+" "+name, func(t *testing.T) {
				server := startRaw(t, true)
				tr := &transport.Transport{DialTLSContext: func(_ context.Context, network, addr string) (net.Conn, error) {
					tc, err := tls.Dial(network, addr, server.config)
					if err != nil {
						return nil, err
					}
					return wrap(tc), nil
				}}
				defer func() { assert.NoError(t, tr.Close()) }()
				served, act := make(chan struct{}), make(chan struct{})
				go func() {
					defer close(served)
					c := <-server.conns
					defer c.Close()
					r := bufio.NewReader(c)
					answer(t, r, c, okResponse)
					<-act
					deed(c.(*tls.Conn))
					if name == "nothing" {
						answer(t, r, c, okResponse)
					}
					_, _ = io.Copy(io.Discard, beneath(c)) // until the client leaves
				}()
				require.NoError(t, mustGet(t, tr, server.url()).Body.Close())
				close(act)
				if name != "nothing" {
					require.Eventually(t, func() bool { return len(socketsTo(t, server.url())) == 0 && tr.Stats().Open == 0 }, patience, tick, "no socket")
				} else {
					req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.url(), nil)
					require.NoError(t, err)
					resp, err := tr.RoundTrip(req)
					require.NoError(t, err)
					require.NoError(t, resp.Body.Close())
				}
				assert.EqualValues(t, 1, tr.Stats().Dials)
				assert.NoError(t, tr.Close())
				<-served
			})
		}
	}
}
