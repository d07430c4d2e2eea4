package leaktest_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/internal/badserver"
	"github.com/watertight-go/watertight/internal/sockstat"
	"github.com/watertight-go/watertight/transport"
	"github.com/watertight-go/watertight/transport/leaktest"
)

// A stubborn connection does not close its socket before it is released; with hangs its Close waits for that.
type stubborn struct {
	net.Conn
	hangs    bool
	released chan struct{}
}

func (s *stubborn) Close() error {
	if s.hangs {
		<-s.released
	}
	return nil
}

func (s *stubborn) NetConn() net.Conn { return s.Conn }

// stubbornly gives a Transport stubborn connections, which are closed with the test.
func stubbornly(t *testing.T, tr *transport.Transport, hangs bool) (release func()) {
	released := make(chan struct{})
	var mu sync.Mutex
	var all []net.Conn
	tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		mu.Lock()
		defer mu.Unlock()
		all = append(all, nc)
		return &stubborn{nc, hangs, released}, nil
	}
	release = sync.OnceFunc(func() {
		close(released)
		for _, nc := range all {
			_ = nc.Close()
		}
	})
	t.Cleanup(release)
	return release
}

// quickly shortens the grace: what is left in these tests is left for good.
func quickly(t *testing.T) {
	was := leaktest.Grace
	leaktest.Grace = 50 * time.Millisecond
	t.Cleanup(func() { leaktest.Grace = was })
}

// A socket that is open after Close is named with its state, as the kernel tells, and so is the goroutine that reads from it,
// as such a connection cannot be watched.
func TestSocketsLeft(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells of sockets")
	}
	quickly(t)
	server := serve(t, bytesOf, false)
	d := &double{TB: t}
	client := leaktest.NewClient(d)
	release := stubbornly(t, client.Transport.(*transport.Transport), false)
	get(t, client, server.URL+"/10")
	report := normal(t, d.finish())
	assert.Regexp(t, `^leaktest: 1 connection is left, 1 goroutine is left\n\nleft after Close:\n\t127\.0\.0\.1:PORT -> 127\.0\.0\.1:PORT ESTABLISHED\n\t.*transport/socket.go:\d+: transport.\(\*socket\).receive$`, report)
	release()
}

// A connection in CLOSE_WAIT is named as such. Find sees it too, of a Transport that was closed.
func TestCloseWaitLeft(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells of sockets")
	}
	quickly(t)
	server := serve(t, bytesOf, false)
	tr := transport.New()
	release := stubbornly(t, tr, false)
	get(t, &http.Client{Transport: tr}, server.URL+"/10")
	server.CloseClientConnections()
	assert.NoError(t, leaktest.Find(tr), "before Close")
	require.NoError(t, tr.Close())
	within(t, "named", func() bool {
		err := leaktest.Find(tr)
		return err != nil && assert.Regexp(t, "left after Close:\n\t.* CLOSE_WAIT\\b", err.Error())
	})
	release()
	assert.NoError(t, leaktest.Find(tr))
}

// What VerifyNone told of is not told again: not by itself, at the end of the next test, or at that of all.
func TestVerifyNoneForgetsWhatIsLeft(t *testing.T) {
	quickly(t)
	server := serve(t, bytesOf, false)
	tr := transport.New()
	release := stubbornly(t, tr, false)
	get(t, &http.Client{Transport: tr}, server.URL+"/10")
	require.NoError(t, tr.Close())
	d := &double{TB: t}
	leaktest.VerifyNone(d, tr)
	assert.Contains(t, d.finish(), "goroutine is left")
	next := &double{TB: t}
	leaktest.VerifyNone(next, tr)
	get(t, leaktest.NewClient(next), server.URL+"/10")
	assert.Empty(t, next.finish())
	var out strings.Builder
	assert.Zero(t, leaktest.Check(&out), out.String())
	release()
}

// A connection whose Close hangs keeps a goroutine, which is named by where it hangs; the check itself does not.
func TestGoroutinesLeft(t *testing.T) {
	quickly(t)
	server := serve(t, bytesOf, false)
	d := &double{TB: t}
	client := leaktest.NewClient(d)
	release := stubbornly(t, client.Transport.(*transport.Transport), true)
	get(t, client, server.URL+"/10")
	sockets := map[bool]string{true: "1 connection is left, "}[runtime.GOOS == "linux"] // which alone tells of them
	assert.Regexp(t, `leaktest: `+sockets+`2 goroutines are left\n\nleft after Close:\n(?s).*\n\t[^\n]*leftovers_test\.go:\d+: leaktest_test\.\(\*stubborn\)\.Close`, d.finish())
	next := &double{TB: t}
	get(t, leaktest.NewClient(next), server.URL+"/10")
	assert.Empty(t, next.finish(), "the next test is not to blame")
	release()
}

// A slow connection takes longer to close than the grace.
type slow struct{ net.Conn }

func (s slow) Close() error {
	time.Sleep(2 * leaktest.Grace)
	return s.Conn.Close()
}

func (s slow) NetConn() net.Conn { return s.Conn }

// A Transport that is slow to close is waited for, for longer than the grace and beside one that hangs, and is not to blame for that. The
// grace is for the goroutine that reads from a connection which cannot be watched: it ends a little after that.
func TestSlowCloseIsNotLeft(t *testing.T) {
	defer func(was time.Duration) { leaktest.Grace = was }(leaktest.Grace)
	leaktest.Grace = 250 * time.Millisecond
	server := serve(t, bytesOf, false)
	slowly := func(tr *transport.Transport) {
		tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			nc, err := new(net.Dialer).DialContext(ctx, network, addr)
			return slow{nc}, err
		}
		get(t, &http.Client{Transport: tr}, server.URL+"/10")
	}
	d := &double{TB: t}
	slowly(leaktest.NewTransport(d))
	assert.Empty(t, d.finish())

	hanging, other := transport.New(), transport.New()
	release := stubbornly(t, hanging, true)
	get(t, &http.Client{Transport: hanging}, server.URL+"/10")
	slowly(other)
	var out strings.Builder
	assert.Equal(t, 1, leaktest.Check(&out))
	if runtime.GOOS == "linux" {
		assert.Contains(t, out.String(), "leaktest: 1 connection is left")
	}
	assert.Contains(t, out.String(), "leaktest_test.(*stubborn).Close")
	release()
}

func get(t *testing.T, client *http.Client, url string) {
	t.Helper()
	resp, err := client.Get(url)
	require.NoError(t, err)
	_, err = io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
}

// After the check nothing of a careless program's connections is left, whoever hung up first: the kernel is asked by others here.
func TestTheCheckLeavesNoSocket(t *testing.T) {
	server := badserver.Start(t,
		badserver.Script{badserver.ReadRequest{}, badserver.Write("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nhal"), badserver.FIN{}},
		badserver.Script{badserver.ReadRequest{}, badserver.Write("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nhal")},
		badserver.Script{badserver.ReadRequest{}, badserver.Write("HTTP/1.1 200 OK\r\n\r\n")},
	)
	d := &double{TB: t}
	client := leaktest.NewClient(d)
	inALoop(client, server.URL, server.URL, server.URL)
	assert.Contains(t, d.finish(), "3 times, the last: GET")
	port := portOf(t, server.URL)
	sockets, err := sockstat.List(sockstat.Filter{RemotePort: port, States: []sockstat.State{sockstat.Established, sockstat.CloseWait}})
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells of sockets")
	}
	require.NoError(t, err)
	assert.Empty(t, sockets)
}
