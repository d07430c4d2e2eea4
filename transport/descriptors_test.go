//go:build unix

package transport_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/transport"
)

// With few descriptors requests succeed as long as idle connections can be given up; then the error says what is short and what to
// do, and all is well again once bodies are closed. The limit is the process's: the test runs in one of its own.
func TestTooManyOpenFiles(t *testing.T) {
	const mark = "WATERTIGHT_DESCRIPTORS_CHILD"
	addr := os.Getenv(mark)
	if addr == "" {
		server := httptest.NewServer(http.HandlerFunc(sized))
		defer server.Close()
		exe, err := os.Executable()
		require.NoError(t, err)
		child := exec.CommandContext(t.Context(), exe, "-test.run=^TestTooManyOpenFiles$", "-test.v")
		child.Env = append(os.Environ(), mark+"="+server.Listener.Addr().String())
		out, err := child.CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.Contains(t, string(out), "--- PASS: TestTooManyOpenFiles")
		return
	}
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 64, Max: 64}))
	tr := &transport.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, addr)
	}}
	get := func(i int, path string) (*http.Response, error) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("http://host%d.example%s", i, path), nil)
		require.NoError(t, err)
		return tr.RoundTrip(req)
	}
	for i := range 200 {
		resp, err := get(i, "/10")
		require.NoError(t, err, "request %d", i)
		require.NoError(t, resp.Body.Close())
	}
	assert.Less(t, tr.Stats().Idle, 64)

	var open []*http.Response
	for {
		resp, err := get(len(open), "/1000000")
		if err != nil {
			assert.ErrorIs(t, err, syscall.EMFILE)
			assert.True(t, strings.HasPrefix(err.Error(), "transport: dialing host"), err.Error())
			assert.Contains(t, err.Error(), "raise the limit")
			break
		}
		open = append(open, resp)
	}
	assert.Greater(t, len(open), 30)
	assert.Zero(t, tr.Stats().Idle)
	for _, resp := range open {
		_, err := io.Copy(io.Discard, resp.Body)
		require.NoError(t, err)
	}
	resp, err := get(1000, "/10")
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.NoError(t, tr.Close())
}
