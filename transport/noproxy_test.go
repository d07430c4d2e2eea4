package transport_test

import (
	"context"
	"net"
	"net/http"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The environment names a proxy, and hosts that are reached without it. http.ProxyFromEnvironment looks at it once in a process,
// so that this test runs in a process of its own.
func TestProxyFromEnvironment(t *testing.T) {
	const mark = "WATERTIGHT_PROXY_CHILD"
	if os.Getenv(mark) == "" {
		p := startProxy(t)
		exe, err := os.Executable()
		require.NoError(t, err)
		child := exec.CommandContext(t.Context(), exe, "-test.run=^TestProxyFromEnvironment$", "-test.v")
		child.Env = append(os.Environ(), mark+"=1", "http_proxy="+p.URL, "HTTP_PROXY="+p.URL, "no_proxy=direct.example", "NO_PROXY=direct.example")
		out, err := child.CombinedOutput()
		require.NoError(t, err, "%s", out)
		asked, _ := p.seen()
		assert.Equal(t, []string{"GET http://proxied.example/", "GET http://proxied.example/"}, asked, "by net/http and by ours")
		return
	}
	for _, std := range []bool{true, false} {
		s := newStory(t, echo, false, std, func(tr *http.Transport) { tr.Proxy = http.ProxyFromEnvironment })
		dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
			if addr == "direct.example:80" {
				addr = s.server.Listener.Addr().String()
			}
			return new(net.Dialer).DialContext(ctx, network, addr)
		}
		s.connect(std, func(tr *http.Transport) { tr.Proxy, tr.DialContext = http.ProxyFromEnvironment, dial })
		for host, want := range map[string]string{"proxied.example": "forwarded http://proxied.example/", "direct.example": "GET "} {
			req := s.request(http.MethodGet, "/", nil)
			req.URL.Host, req.Host = host, ""
			assert.Equal(s, want, s.read(s.send(req)))
		}
	}
}
