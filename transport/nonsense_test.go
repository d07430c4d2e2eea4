package transport_test

import (
	"context"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/transport"
)

// A server that speaks another protocol and waits for our next word is found out by its first line.
func TestOtherProtocolsAreFoundOut(t *testing.T) {
	for _, first := range []string{"SSH-2.0-OpenSSH_9.9\r\n", "220 mail ESMTP\n", "http/1.1 200 OK\r\nA: b\r\n"} {
		for name, rt := range map[string]http.RoundTripper{"std": &http.Transport{}, "ours": &transport.Transport{}} {
			t.Run(name+" "+first, func(t *testing.T) {
				server := startRaw(t, false)
				go func() {
					c := <-server.conns
					defer c.Close()
					_, _ = c.Read(make([]byte, 1)) // the request begins
					_, _ = io.WriteString(c, first)
					_, _ = io.Copy(io.Discard, c) // until the client leaves
				}()
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.url(), nil)
				require.NoError(t, err)
				_, err = rt.RoundTrip(req)
				require.ErrorContains(t, err, "malformed")
			})
		}
	}
}
