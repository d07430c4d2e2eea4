//go:build linux

package sockstat_test

import (
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/watertight-go/watertight/internal/sockstat"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A connection is brought from state to state, and each is seen at both ends.
func TestStates(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		t.Run(address, func(t *testing.T) {
			l, err := net.Listen("tcp", address)
			if err != nil {
				t.Skipf("no such address here: %v", err)
			}
			defer l.Close()
			port := uint16(l.Addr().(*net.TCPAddr).Port)
			client, err := net.Dial("tcp", l.Addr().String())
			require.NoError(t, err)
			defer client.Close()
			server, err := l.Accept()
			require.NoError(t, err)

			ends := func() (c, s sockstat.State) {
				all, err := sockstat.List(sockstat.Filter{})
				require.NoError(t, err)
				for _, x := range all {
					switch [2]string{x.Local.String(), x.Remote.String()} {
					case [2]string{client.LocalAddr().String(), l.Addr().String()}:
						c = x.State
					case [2]string{l.Addr().String(), client.LocalAddr().String()}:
						s = x.State
					}
				}
				return c, s
			}
			want := func(c, s sockstat.State) {
				t.Helper()
				require.Eventually(t, func() bool {
					gotC, gotS := ends()
					return gotC == c && gotS == s
				}, 10*time.Second, time.Millisecond, "want %v and %v", c, s)
			}
			want(sockstat.Established, sockstat.Established)
			mine, err := sockstat.List(sockstat.Filter{RemotePort: port, PID: os.Getpid()})
			require.NoError(t, err)
			assert.Len(t, mine, 1)
			assert.Equal(t, map[sockstat.State]int{sockstat.Established: 1}, sockstat.Count(mine))
			theirs, err := sockstat.List(sockstat.Filter{RemotePort: port, PID: os.Getppid()})
			require.NoError(t, err)
			assert.Empty(t, theirs)

			require.NoError(t, server.Close())
			want(sockstat.CloseWait, sockstat.FinWait2)
			_, err = io.ReadAll(client)
			require.NoError(t, err)
			require.NoError(t, client.Close())
			want(0, sockstat.TimeWait)
		})
	}
}

// The two sources tell the same.
func TestNetlinkAgreesWithProc(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	defer client.Close()
	byNetlink, byProc, err := sockstat.Both()
	require.NoError(t, err)
	of := func(all []sockstat.Socket) (some []sockstat.Socket) {
		for _, s := range all {
			for _, ends := range [][2]net.Addr{{client.LocalAddr(), l.Addr()}, {l.Addr(), client.LocalAddr()}} {
				if s.Local.String() == ends[0].String() && s.Remote.String() == ends[1].String() {
					some = append(some, s)
				}
			}
		}
		return some
	}
	require.Len(t, of(byNetlink), 2) // the client's, and the one in the listener's queue
	assert.ElementsMatch(t, of(byNetlink), of(byProc))
}

func TestDescriptors(t *testing.T) {
	before, err := sockstat.Descriptors(os.Getpid())
	require.NoError(t, err)
	f, err := os.Open(os.DevNull)
	require.NoError(t, err)
	defer f.Close()
	after, err := sockstat.Descriptors(os.Getpid())
	require.NoError(t, err)
	assert.Equal(t, before+1, after)
}

func TestStateNames(t *testing.T) {
	assert.Equal(t, "CLOSE_WAIT", sockstat.CloseWait.String())
	assert.Equal(t, "state 77", sockstat.State(77).String())
}
