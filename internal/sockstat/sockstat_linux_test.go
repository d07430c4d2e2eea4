package sockstat_test

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/internal/sockstat"
)

// atWork leaves out TIME_WAIT, in which a former test's sockets with the same port may be.
func atWork(c sockstat.Counts) sockstat.Counts {
	delete(c, sockstat.TimeWait)
	return c
}

// A pair is both ends of a connection over a loopback address.
type pair struct {
	*testing.T
	client, server *net.TCPConn
}

// listen returns a listener and its port.
func listen(t *testing.T, address string) (net.Listener, uint16) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Skipf("no such address here: %v", err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l, addrPort(l.Addr()).Port()
}

func connect(t *testing.T, l net.Listener) pair {
	client, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	server, err := l.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { _, _ = client.Close(), server.Close() })
	return pair{t, client.(*net.TCPConn), server.(*net.TCPConn)}
}

func addrPort(a net.Addr) netip.AddrPort { return a.(*net.TCPAddr).AddrPort() }

// want waits until the two ends are in these states; 0 is none. Which end a FIN has reached only the kernel knows.
func (p pair) want(client, server sockstat.State) {
	p.Helper()
	from, to := addrPort(p.client.LocalAddr()), addrPort(p.client.RemoteAddr())
	var got [2]sockstat.State
	if !assert.Eventually(p, func() bool {
		all, err := sockstat.List(sockstat.Filter{})
		got = [2]sockstat.State{}
		for _, s := range all {
			switch {
			case s.Local == from && s.Remote == to:
				got[0] = s.State
			case s.Local == to && s.Remote == from:
				got[1] = s.State
			}
		}
		return err == nil && got == [2]sockstat.State{client, server}
	}, 10*time.Second, time.Millisecond) {
		require.FailNow(p, "wrong states", "%v, want %v and %v", got, client, server)
	}
}

// A connection is brought from state to state, and each is seen at both ends.
func TestStates(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0", "[::]:0"} {
		t.Run(address, func(t *testing.T) {
			l, _ := listen(t, address)
			p := connect(t, l)
			p.want(sockstat.Established, sockstat.Established)

			require.NoError(t, p.server.CloseWrite())
			p.want(sockstat.CloseWait, sockstat.FinWait2)

			require.NoError(t, p.client.Close())
			p.want(0, sockstat.TimeWait)
		})
	}
}

// A connection from an IPv4 address to a listener for both families is one of IPv4.
func TestMappedAddresses(t *testing.T) {
	l, port := listen(t, "[::]:0")
	client, err := net.Dial("tcp4", netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port).String())
	require.NoError(t, err)
	server, err := l.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { _, _ = client.Close(), server.Close() })
	pair{t, client.(*net.TCPConn), server.(*net.TCPConn)}.want(sockstat.Established, sockstat.Established)
}

// Each field of a filter selects, and the fields together.
func TestFilter(t *testing.T) {
	l, port := listen(t, "127.0.0.1:0")
	established, halfClosed := connect(t, l), connect(t, l)
	require.NoError(t, halfClosed.server.CloseWrite())
	halfClosed.want(sockstat.CloseWait, sockstat.FinWait2)
	clientPort := addrPort(established.client.LocalAddr()).Port()
	child := exec.Command("cat") // whose descriptors may be read, unlike those of a parent of another user
	stdin, err := child.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	defer func() { assert.NoError(t, errors.Join(stdin.Close(), child.Wait())) }()

	for name, tt := range map[string]struct {
		filter sockstat.Filter
		want   string
	}{
		"local port":      {sockstat.Filter{LocalPort: port}, "ESTABLISHED 1, FIN_WAIT2 1, LISTEN 1"},
		"remote port":     {sockstat.Filter{RemotePort: port}, "ESTABLISHED 1, CLOSE_WAIT 1"},
		"both ports":      {sockstat.Filter{LocalPort: clientPort, RemotePort: port}, "ESTABLISHED 1"},
		"one state":       {sockstat.Filter{LocalPort: port, States: []sockstat.State{sockstat.Listen}}, "LISTEN 1"},
		"several states":  {sockstat.Filter{LocalPort: port, States: []sockstat.State{sockstat.Listen, sockstat.FinWait2}}, "FIN_WAIT2 1, LISTEN 1"},
		"state of no one": {sockstat.Filter{LocalPort: port, States: []sockstat.State{sockstat.SynReceived}}, "none"},
		"this process":    {sockstat.Filter{RemotePort: port, PID: os.Getpid()}, "ESTABLISHED 1, CLOSE_WAIT 1"},
		"another process": {sockstat.Filter{RemotePort: port, PID: child.Process.Pid}, "none"},
	} {
		t.Run(name, func(t *testing.T) {
			found, err := sockstat.List(tt.filter)
			require.NoError(t, err)
			assert.Equal(t, tt.want, atWork(sockstat.Count(found)).String())
		})
	}
	_, err = sockstat.List(sockstat.Filter{PID: 1 << 30})
	assert.ErrorIs(t, err, os.ErrNotExist)
}

// A socket in TIME_WAIT is listed, and belongs to nobody.
func TestTimeWaitHasNoOwner(t *testing.T) {
	l, port := listen(t, "127.0.0.1:0")
	p := connect(t, l)
	require.NoError(t, p.client.CloseWrite())
	p.want(sockstat.FinWait2, sockstat.CloseWait)
	require.NoError(t, p.server.Close())
	p.want(sockstat.TimeWait, 0)
	found, err := sockstat.List(sockstat.Filter{LocalPort: addrPort(p.client.LocalAddr()).Port(), RemotePort: port})
	require.NoError(t, err)
	require.Len(t, found, 1)
	assert.Zero(t, found[0].Inode)
	ours := sockstat.Filter{RemotePort: port, PID: os.Getpid()}
	found, err = sockstat.List(ours)
	require.NoError(t, err)
	assert.Empty(t, found)
	found, _, err = sockstat.Both(ours)
	require.NoError(t, err)
	assert.Empty(t, found, "nor does the kernel have to tell of it")
}

// The two sources tell the same, state by state, about more sockets than fit one message of the kernel.
func TestNetlinkAgreesWithProc(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		t.Run(address, func(t *testing.T) {
			l, port := listen(t, address)
			var pairs []pair
			for range 300 {
				pairs = append(pairs, connect(t, l))
			}
			for i, p := range pairs[:3] {
				require.NoError(t, p.server.CloseWrite())
				p.want(sockstat.CloseWait, sockstat.FinWait2)
				if i > 0 {
					require.NoError(t, p.client.Close())
					p.want(0, sockstat.TimeWait)
				}
			}
			for _, f := range []sockstat.Filter{{LocalPort: port}, {RemotePort: port}} {
				// While others open and close sockets, the table in /proc shows some twice and misses some.
				require.Eventually(t, func() bool {
					byNetlink, byProc, err := sockstat.Both(f)
					return err == nil && slices.Equal(ordered(byNetlink), ordered(byProc))
				}, 10*time.Second, time.Millisecond)
			}
			found, err := sockstat.List(sockstat.Filter{LocalPort: port})
			require.NoError(t, err)
			counts := sockstat.Count(found)
			assert.GreaterOrEqual(t, counts[sockstat.TimeWait], 2)
			assert.Equal(t, "ESTABLISHED 297, FIN_WAIT2 1, LISTEN 1", atWork(counts).String())
		})
	}
}

func ordered(sockets []sockstat.Socket) []sockstat.Socket {
	slices.SortFunc(sockets, func(a, b sockstat.Socket) int {
		return max(-1, min(1, a.Local.Compare(b.Local)*2+a.Remote.Compare(b.Remote)))
	})
	return sockets
}

// A socket tells whose it is.
func TestOwner(t *testing.T) {
	_, port := listen(t, "127.0.0.1:0")
	found, err := sockstat.List(sockstat.Filter{LocalPort: port, States: []sockstat.State{sockstat.Listen}})
	require.NoError(t, err)
	require.Len(t, found, 1)
	assert.Equal(t, uint32(os.Getuid()), found[0].UID)
	assert.NotZero(t, found[0].Inode)
}

// An open file is one descriptor more.
func TestDescriptors(t *testing.T) {
	_, _ = listen(t, "127.0.0.1:0") // the first use of the runtime's poller opens descriptors of its own
	before, err := sockstat.Descriptors(os.Getpid())
	require.NoError(t, err)
	f, err := os.Open(os.DevNull)
	require.NoError(t, err)
	defer f.Close()
	after, err := sockstat.Descriptors(os.Getpid())
	require.NoError(t, err)
	assert.Equal(t, before+1, after)
	_, err = sockstat.Descriptors(1 << 30)
	assert.ErrorIs(t, err, os.ErrNotExist)
}
