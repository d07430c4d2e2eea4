package transport_test

import (
	"context"
	"math"
	"net"
	"net/http"
	"net/http/httptrace"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/transport"
)

const tcpUserTimeout = 18 // TCP_USER_TIMEOUT

func option(t testing.TB, nc net.Conn, level, name int) (value int) {
	raw, err := nc.(*net.TCPConn).SyscallConn()
	require.NoError(t, err)
	require.NoError(t, raw.Control(func(fd uintptr) { value, err = syscall.GetsockoptInt(int(fd), level, name) }))
	require.NoError(t, err)
	return value
}

// Connections have a bound on what their peer leaves unacknowledged, and TCP keep-alive, whoever dialed them.
func TestUnackedTimeoutIsSet(t *testing.T) {
	for timeout, want := range map[time.Duration]int{
		0: 300000, 7 * time.Second: 7000, -1: 0,
		100 * time.Microsecond: 1, 1000 * time.Hour: math.MaxInt32, // what the kernel has room for
	} {
		s := newStory(t, echo, false, false)
		s.ours.UnackedTimeout = timeout
		req := s.request(http.MethodGet, "/", nil)
		s.read(s.send(req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
			GotConn: func(i httptrace.GotConnInfo) {
				assert.Equal(s, want, option(s, i.Conn, syscall.IPPROTO_TCP, tcpUserTimeout))
				assert.Equal(s, 1, option(s, i.Conn, syscall.SOL_SOCKET, syscall.SO_KEEPALIVE))
			},
		}))))
	}
}

// A namespace is a network of its own, on a thread that is given up afterwards. What is sent to do runs there.
func namespace(t *testing.T) (do func(func() error) error) {
	ip, err := exec.LookPath("ip")
	if err != nil {
		t.Skip("needs the ip command (iproute2) to take a network down: ", err)
	}
	calls, results := make(chan func() error), make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		results <- syscall.Unshare(syscall.CLONE_NEWNET)
		for f := range calls {
			results <- f()
		}
	}()
	if err := <-results; err != nil {
		close(calls)
		t.Skip("needs the right to make a network namespace: ", err)
	}
	t.Cleanup(func() { close(calls) })
	do = func(f func() error) error {
		calls <- f
		return <-results
	}
	require.NoError(t, do(exec.Command(ip, "link", "set", "lo", "up").Run))
	return do
}

// A server that falls silent, every packet to it lost, is given up after UnackedTimeout, whether the request waits or is to be sent.
func TestSilentPeer(t *testing.T) {
	t.Parallel()
	do := namespace(t)
	var l net.Listener
	require.NoError(t, do(func() (err error) {
		l, err = net.Listen("tcp", "127.0.0.1:0")
		return err
	}))
	server := &http.Server{Handler: http.HandlerFunc(echo)}
	go func() { _ = server.Serve(l) }()
	defer server.Close()
	tr := &transport.Transport{UnackedTimeout: 500 * time.Millisecond, DialContext: func(ctx context.Context, network, addr string) (nc net.Conn, err error) {
		err = do(func() error {
			nc, err = new(net.Dialer).DialContext(ctx, network, addr)
			return err
		})
		return nc, err
	}}
	defer tr.Close()
	url := "http://" + l.Addr().String()
	require.NoError(t, mustGet(t, tr, url).Body.Close())
	require.NoError(t, do(exec.Command("ip", "link", "set", "lo", "down").Run))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, nil)
	require.NoError(t, err)
	_, err = tr.RoundTrip(req)
	assert.ErrorIs(t, err, syscall.ETIMEDOUT)
	assert.Zero(t, tr.Stats().Open)
}
