package transport_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/transport"
)

// A stoppingBody is empty. The process is stopped in its first Read.
type stoppingBody struct{ t *testing.T }

func (b stoppingBody) Read([]byte) (int, error) {
	assert.NoError(b.t, syscall.Kill(os.Getpid(), syscall.SIGSTOP))
	return 0, io.EOF
}

// A body that may be empty has 200 ms to say so, of the time in which the process runs: or else a GET of a process that was stopped, or
// whose machine was busy, would announce a body.
func TestEmptyBodyOfAStoppedProcess(t *testing.T) {
	said := make(chan []string, 1)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { said <- r.TransferEncoding }))
	defer server.Close()
	tr := &transport.Transport{Logger: discardLogger}
	defer tr.Close()
	for range 3 {
		script := fmt.Sprintf(`until grep -q '^State:.*T' /proc/%[1]d/status; do :; done; sleep 0.3; kill -CONT %[1]d`, os.Getpid())
		waker := exec.CommandContext(t.Context(), "/bin/sh", "-c", script)
		require.NoError(t, waker.Start())
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, stoppingBody{t})
		require.NoError(t, err)
		resp, err := tr.RoundTrip(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		assert.Empty(t, <-said)
		require.NoError(t, waker.Wait())
	}
}
