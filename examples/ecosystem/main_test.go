//go:build linux

package ecosystem_test

import (
	"io"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/watertight-go/watertight/internal/sockstat"
	"github.com/watertight-go/watertight/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 10 * time.Second

// wantSockets wants that this process has n connections to the server of a URL, as the kernel tells, all of them ESTABLISHED: none is
// in CLOSE_WAIT or on its way out.
func wantSockets(t *testing.T, base string, n int) {
	t.Helper()
	u, err := url.Parse(base)
	require.NoError(t, err)
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	require.NoError(t, err)
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		sockets, err := sockstat.List(sockstat.Filter{RemotePort: uint16(port), PID: os.Getpid()})
		require.NoError(t, err)
		counts := sockstat.Count(sockets)
		if len(sockets) == n && counts[sockstat.Established] == n {
			return
		}
		if time.Now().After(deadline) {
			require.Fail(t, "other sockets", "the kernel has %s, not ESTABLISHED %d", counts, n)
		}
	}
}

// dropping returns a Transport whose leaks the test wants, and closes it at the end.
func dropping(t *testing.T) (*transport.Transport, <-chan transport.Leak) {
	tr, leaks := transport.New(), make(chan transport.Leak, 10)
	tr.OnLeak = func(l transport.Leak) { leaks <- l }
	t.Cleanup(func() { assert.NoError(t, tr.Close()) })
	return tr, leaks
}

// wantDropped runs the collector until it finds the body that a test dropped.
func wantDropped(t *testing.T, leaks <-chan transport.Leak) (l transport.Leak) {
	t.Helper()
	require.Eventually(t, func() bool {
		runtime.GC()
		select {
		case l = <-leaks:
			return true
		default:
			return false
		}
	}, patience, time.Millisecond)
	assert.Equal(t, transport.Dropped, l.Cause)
	return l
}

func readAll(t *testing.T, resp *http.Response) string {
	t.Helper()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return string(text)
}
