package transport_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/transport"
)

// A nameTap notes where an https request was to go, and which name its handshake asked for.
type nameTap struct {
	serving sync.WaitGroup
	getConn string

	mu     sync.Mutex // guards dialed
	dialed string
	asked  string // owned by the server's goroutine until serving is done
}

var errSeen = errors.New("seen")

func (n *nameTap) dial(_ context.Context, _, addr string) (net.Conn, error) {
	n.mu.Lock()
	n.dialed = addr
	n.mu.Unlock()
	client, server := net.Pipe()
	n.serving.Go(func() {
		defer server.Close()
		_ = tls.Server(server, &tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			n.asked = hello.ServerName
			return nil, errSeen
		}}).Handshake()
	})
	return client, nil
}

// In a handshake the server is named in ASCII, without port and zone, and not at all where it has only an address;
// TLSClientConfig.ServerName wins over the URL's host, and Request.Host is no matter.
func TestServerNames(t *testing.T) {
	for _, given := range []string{"", "given.example"} {
		for _, host := range []string{
			"a.example", "A.Example:8443", "a.example.", "bücher.example", "BÜCHER.example:443", "xn--bcher-kva.example",
			"127.0.0.1", "127.0.0.1:8443", "[::1]", "[fe80::1%eth0]", "[fe80::1%eth0]:8443", "_a_.example",
		} {
			t.Run(host+" "+given, func(t *testing.T) {
				var seen [2]nameTap
				for i := range seen {
					n := &seen[i]
					base := &http.Transport{DialContext: n.dial, TLSClientConfig: &tls.Config{ServerName: given}}
					var rt http.RoundTripper = base
					if i == 1 {
						own := transport.From(base)
						defer own.Close()
						rt = own
					}
					ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GetConn: func(hostPort string) { n.getConn = hostPort }})
					req, err := http.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
					require.NoError(t, err)
					req.URL, req.Host = &url.URL{Scheme: "https", Host: host, Path: "/"}, "other.example"
					_, err = rt.RoundTrip(req)
					require.Error(t, err)
					n.serving.Wait()
				}
				assert.Equal(t, seen[0].asked, seen[1].asked, "asked for")
				assert.Equal(t, seen[0].dialed, seen[1].dialed, "dialed")
				assert.Equal(t, seen[0].getConn, seen[1].getConn, "traced")
				if given != "" {
					assert.Equal(t, given, seen[1].asked)
				}
			})
		}
	}
}
