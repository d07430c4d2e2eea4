package transport

import (
	"context"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A SOCKS proxy that says nothing fails a dial by its context, although the deadline of the socket may pass before that has ended.
func TestSilentSOCKSProxy(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer silent.Close()
	for range 50 {
		nc, err := net.Dial("tcp", silent.Addr().String())
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		err = socksConnect(ctx, nc, &url.URL{Scheme: "socks5", Host: "silent.example:1080"}, "origin.example:80")
		cancel()
		_ = nc.Close()
		require.Equal(t, context.DeadlineExceeded, err)
	}
}
