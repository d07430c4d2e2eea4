//go:build linux

package transport_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
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
			end := make(chan error, 1)
			go func() {
				c := <-server.conns
				defer c.Close()
				b := make([]byte, 4096)
				_, _ = c.Read(b)
				_, _ = io.WriteString(c, okResponse)
				_, err := c.Read(b)
				end <- err
			}()
			assert.Equal(s, "ok", s.read(mustGet(t, s.rt, server.url())))
			s.rt.CloseIdleConnections()
			assert.Equal(s, io.EOF, <-end)
		})
	}
}

// tlsPatience is how long crypto/tls waits for a peer that does not read, to tell it of the end.
const tlsPatience = 5 * time.Second

// A countedUpload is a request's body that never ends, and counts what is read of it.
type countedUpload struct{ read *atomic.Int64 }

func (u countedUpload) Read(p []byte) (int, error) {
	u.read.Add(int64(len(p)))
	return len(p), nil
}

// A server that does not read does not hold up who closes: what TLS has to say at the end waits for nobody.
func TestCloseDoesNotWaitForWhoDoesNotRead(t *testing.T) {
	for name, dial := range map[string]func(config *tls.Config) func(context.Context, string, string) (net.Conn, error){
		"TLS of ours": nil,
		"TLS of the caller's": func(config *tls.Config) func(context.Context, string, string) (net.Conn, error) {
			return func(_ context.Context, network, addr string) (net.Conn, error) { return tls.Dial(network, addr, config) }
		},
		"foreign": func(config *tls.Config) func(context.Context, string, string) (net.Conn, error) {
			return func(_ context.Context, network, addr string) (net.Conn, error) {
				nc, err := tls.Dial(network, addr, config)
				return bare{nc}, err
			}
		},
		"TLS of the caller's over foreign": func(config *tls.Config) func(context.Context, string, string) (net.Conn, error) {
			return func(ctx context.Context, network, addr string) (net.Conn, error) {
				nc, err := net.Dial(network, addr)
				if err != nil {
					return nil, err
				}
				return tls.Client(lazy{bare{nc}}, config), nil
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := &taxonomyServer{early: true, released: make(chan struct{})}
			s := newStory(t, server.ServeHTTP, true, false, func(tr *http.Transport) {
				if dial != nil {
					config := tr.TLSClientConfig.Clone()
					config.ServerName = "example.com"
					tr.DialTLSContext = dial(config)
				}
			})
			t.Cleanup(func() { close(server.released) })
			for range 4 { // what is stuck is a record's beginning or its end
				var read atomic.Int64
				resp := s.send(s.request(http.MethodPost, "/60000", countedUpload{&read}))
				last, same := int64(0), 0
				s.eventually("stuck", func() bool {
					now := read.Load()
					if now != last {
						last, same = now, 0
					}
					same++
					return same > 20
				})
				began := time.Now()
				require.NoError(s, resp.Body.Close())
				s.wantNoSockets()
				if name != "foreign" { // its Close is the caller's own
					assert.Less(s, time.Since(began), tlsPatience-time.Second)
				}
			}
		})
	}
}
