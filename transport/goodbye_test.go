//go:build linux

package transport_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
)

// An idle connection with TLS is closed as TLS wants it: the server sees an end, and no truncation (RFC 8446 section 6.1).
func TestCloseNotify(t *testing.T) {
	for name, custom := range map[string]bool{"TLS of ours": false, "TLS of the caller's": true} {
		t.Run(name, func(t *testing.T) {
			server := startRaw(t, true)
			s := newStory(t, echo, false, false, func(tr *http.Transport) {
				tr.TLSClientConfig = server.config
				if custom {
					tr.DialTLSContext = func(_ context.Context, network, addr string) (net.Conn, error) {
						return tls.Dial(network, addr, server.config)
					}
				}
			})
			end := make(chan int, 1)
			go func() {
				c := <-server.conns
				defer c.Close()
				b := make([]byte, 4096)
				_, _ = c.Read(b)
				_, _ = io.WriteString(c, okResponse)
				before := c.(*tls.Conn).NetConn().(*corked).got
				_, err := c.Read(b)
				assert.Equal(t, io.EOF, err)
				end <- c.(*tls.Conn).NetConn().(*corked).got - before
			}()
			assert.Equal(s, "ok", s.read(mustGet(t, s.rt, server.url())))
			s.rt.CloseIdleConnections()
			assert.Positive(s, <-end, "bytes before the end")
		})
	}
}
