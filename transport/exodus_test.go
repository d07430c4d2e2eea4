//go:build linux

package transport_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/internal/sockstat"
	"github.com/watertight-go/watertight/transport"
)

// A server hangs up on hundreds of connections at once, half of them idle, half with a body open that nobody reads: nobody makes
// another request, and yet no socket stays in CLOSE_WAIT, nor in any other state. The bodies are read to their ends all the same.
func TestExodus(t *testing.T) {
	const n = 500
	body := string(pattern(20000))
	long := "HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n"
	for name, end := range endings {
		for _, https := range []bool{false, true} {
			t.Run(name+map[bool]string{true: " https", false: " http"}[https], func(t *testing.T) {
				server := startRaw(t, https)
				tr := &transport.Transport{TLSClientConfig: server.config}
				defer func() { assert.NoError(t, tr.Close()) }()
				var accepted sync.WaitGroup
				var conns [n]net.Conn
				go func() {
					for i := range n {
						conns[i] = <-server.conns
						accepted.Go(func() {
							_, err := http.ReadRequest(bufio.NewReader(conns[i]))
							assert.NoError(t, err)
						})
					}
					accepted.Wait() // so that there are so many at once
					for i, c := range conns {
						answer := okResponse
						if i%2 == 0 {
							answer = long + body[:10000] // not all of it yet, or nothing would be open
						}
						_, err := io.WriteString(c, answer)
						assert.NoError(t, err)
					}
				}()
				open := requestAll(t, tr, server.url(), n)
				require.Len(t, open, n/2)
				require.Eventually(t, func() bool { return tr.Stats().Idle == n/2 }, patience, tick)
				require.Equal(t, sockstat.Counts{sockstat.Established: n}, sockstat.Count(socketsTo(t, server.url())))
				for i, c := range conns {
					if i%2 == 0 {
						_, err := io.WriteString(c, body[10000:])
						require.NoError(t, err)
					}
				}
				for _, c := range conns {
					end(beneath(c))
				}
				require.Eventually(t, func() bool { return len(socketsTo(t, server.url())) == 0 }, patience, tick, "no socket")
				require.Eventually(t, func() bool { return tr.Stats().Open == 0 }, patience, tick) // of a reset the kernel keeps nothing
				assert.Zero(t, tr.Stats().Exceeded)
				for _, resp := range open {
					b, err := io.ReadAll(resp.Body)
					require.NoError(t, err)
					require.Equal(t, body, string(b))
				}
				for _, c := range conns {
					_ = beneath(c).Close()
				}
			})
		}
	}
}

// requestAll sends so many requests at once, and returns the responses whose bodies hold a connection.
func requestAll(t *testing.T, rt http.RoundTripper, url string, n int) (open []*http.Response) {
	var mu sync.Mutex
	var requests sync.WaitGroup
	for range n {
		requests.Go(func() {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
			assert.NoError(t, err)
			resp, err := rt.RoundTrip(req)
			if !assert.NoError(t, err) {
				return
			}
			if resp.ContentLength < 100 {
				assert.NoError(t, resp.Body.Close())
				return
			}
			mu.Lock()
			defer mu.Unlock()
			open = append(open, resp)
		})
	}
	requests.Wait()
	return open
}
