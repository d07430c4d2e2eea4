package transport_test

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/internal/memnet"
	"github.com/watertight-go/watertight/transport"
)

// A request without a deadline that meets somebody silent while its connection is dialed ends by a bound of our own. The error says which:
// "deadline exceeded" alone would be about a deadline that nobody has set.
func TestSlowDialsAreNamed(t *testing.T) {
	throughProxy := func(scheme string) func(*transport.Transport, *memnet.Network) {
		return func(tr *transport.Transport, _ *memnet.Network) {
			tr.Proxy = http.ProxyURL(&url.URL{Scheme: scheme, Host: "silent.example:3128", User: url.UserPassword("me", "secret")})
		}
	}
	const dialing = "transport: dialing https://origin.example took longer than 2m0s"
	for name, row := range map[string]struct {
		set   func(*transport.Transport, *memnet.Network)
		says  string // before it falls silent
		after time.Duration
		want  string
	}{
		"the server, before its handshake": {func(tr *transport.Transport, n *memnet.Network) {
			tr.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
				return n.DialContext(ctx, network, "silent.example:3128")
			}
		}, "", 2 * time.Minute, dialing},
		"the server behind a proxy": {throughProxy("http"), "HTTP/1.1 200 OK\r\n\r\n", 2 * time.Minute, dialing},
		"a proxy":                   {throughProxy("http"), "", time.Minute, "transport: the answer of proxy silent.example:3128 to CONNECT origin.example:443 took longer than 1m0s"},
		"a SOCKS proxy":             {throughProxy("socks5"), "", 2 * time.Minute, dialing},
		"the dialer": {func(tr *transport.Transport, _ *memnet.Network) {
			tr.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
				<-ctx.Done()
				return nil, &net.OpError{Op: "dial", Net: "tcp", Err: context.Cause(ctx)}
			}
		}, "", 2 * time.Minute, dialing + ": dial tcp: context deadline exceeded"},
		"the dialer, by a deadline of its socket": {func(tr *transport.Transport, _ *memnet.Network) {
			tr.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
				deadline, _ := ctx.Deadline()
				time.Sleep(time.Until(deadline)) // it may be over before the context is
				return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.ErrDeadlineExceeded}
			}
		}, "", 2 * time.Minute, dialing + ": dial tcp: i/o timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, echo, func(t *testing.T, n *memnet.Network, _ *http.Server, tr *transport.Transport) {
				l, err := n.Listen("silent.example:3128")
				require.NoError(t, err)
				go fallSilent(l, row.says)
				row.set(tr, n)
				req, err := http.NewRequest(http.MethodGet, "https://origin.example/", nil)
				require.NoError(t, err)
				began := time.Now()
				_, err = tr.RoundTrip(req)
				assert.EqualError(t, err, row.want)
				assert.Equal(t, row.after, time.Since(began))
				assert.ErrorIs(t, err, context.DeadlineExceeded)
				var ne net.Error
				require.ErrorAs(t, err, &ne)
				assert.True(t, ne.Timeout())
				assert.EqualValues(t, 1, tr.Stats().DialErrors)
				require.NoError(t, l.Close())
			})
		})
	}
}

// fallSilent reads what a client says first, says one thing, and nothing more.
func fallSilent(l net.Listener, says string) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			if says != "" {
				_, _ = c.Read(make([]byte, 4<<10))
				_, _ = c.Write([]byte(says))
			}
			for err := error(nil); err == nil; {
				_, err = c.Read(make([]byte, 4<<10))
			}
		}()
	}
}
