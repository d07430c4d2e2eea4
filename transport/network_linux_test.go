//go:build linux

package transport_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/transport"
)

// A network is a namespace with a server in it, and a Transport that dials there.
type network struct {
	*testing.T
	do  func(func() error) error
	tr  *transport.Transport
	URL string
}

func newNetwork(t *testing.T, handler http.HandlerFunc) *network {
	n := &network{T: t, do: namespace(t)}
	n.serve(n.listen("127.0.0.1:0"), handler)
	return n
}

func (n *network) listen(addr string) (l net.Listener) {
	require.NoError(n, n.do(func() (err error) {
		l, err = net.Listen("tcp", addr)
		return err
	}))
	return l
}

// serve starts the server, and makes the Transport.
func (n *network) serve(l net.Listener, handler http.HandlerFunc) {
	server := &http.Server{Handler: handler}
	go func() { _ = server.Serve(l) }()
	n.URL = "http://" + l.Addr().String()
	n.tr = &transport.Transport{Logger: discardLogger}
	n.dialBy(&net.Dialer{})
	n.Cleanup(func() {
		assert.NoError(n, n.tr.Close())
		assert.Zero(n, n.tr.Stats().Open)
		_ = server.Close()
	})
}

// dialBy has the Transport dial in the namespace.
func (n *network) dialBy(dialer *net.Dialer) {
	n.tr.DialContext = func(ctx context.Context, network, addr string) (nc net.Conn, err error) {
		err = n.do(func() error {
			nc, err = dialer.DialContext(ctx, network, addr)
			return err
		})
		return nc, err
	}
}

// run runs a command in the namespace.
func (n *network) run(command string, args ...string) error {
	return n.do(func() error {
		out, err := exec.Command(command, args...).CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%s %v: %w: %s", command, args, err, bytes.TrimSpace(out))
		}
		return err
	})
}

// mirror answers with what it is sent, or with so many bytes of the pattern as the path says.
func mirror(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		all, _ := io.ReadAll(r.Body)
		_, _ = w.Write(all)
		return
	}
	sized(w, r)
}

// exchanges lets workers send and fetch for as long as the context lasts, and once at least, and wants all to be right.
func (n *network) exchanges(ctx context.Context, workers, size int) (done int) {
	var wg sync.WaitGroup
	counts := make([]int, workers)
	for w := range workers {
		wg.Go(func() {
			for counts[w] == 0 || ctx.Err() == nil && !n.Failed() {
				if err := n.exchange(w, size); !assert.NoError(n, err) {
					return
				}
				counts[w]++
			}
		})
	}
	wg.Wait()
	for _, c := range counts {
		done += c
	}
	return done
}

func (n *network) exchange(w, size int) error {
	sent := bytes.Repeat([]byte(fmt.Sprintf("worker %d ", w)), size/9)
	req, err := http.NewRequestWithContext(n.Context(), http.MethodPost, n.URL, io.NopCloser(bytes.NewReader(sent)))
	if err != nil {
		return err
	}
	for _, want := range [][]byte{sent, pattern(size)} {
		resp, err := n.tr.RoundTrip(req)
		if err != nil {
			return err
		}
		got, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil {
			return err
		}
		if !bytes.Equal(want, got) {
			return fmt.Errorf("%s %s: not what was to come, but %d bytes instead of %d", req.Method, req.URL, len(got), len(want))
		}
		if req, err = http.NewRequestWithContext(n.Context(), http.MethodGet, fmt.Sprintf("%s/%d", n.URL, size), nil); err != nil {
			return err
		}
	}
	return nil
}

// A network that is away for a moment delays what is sent and fetched, and that is all: no request fails, no byte is wrong.
func TestNetworkAwayForAMoment(t *testing.T) {
	n := newNetwork(t, mirror)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan int)
	go func() { done <- n.exchanges(ctx, 4, 300_000) }()
	for range 3 {
		before := n.tr.Stats().Requests
		require.Eventually(t, func() bool { return n.tr.Stats().Requests >= before+10 }, patience, tick)
		require.NoError(t, n.run("ip", "link", "set", "lo", "down"))
		// What is under way may come to its end; what is not waits.
		away := time.Now()
		require.Eventually(t, func() bool { return time.Since(away) > 100*time.Millisecond }, patience, tick)
		require.NoError(t, n.run("ip", "link", "set", "lo", "up"))
	}
	cancel()
	assert.Positive(t, <-done)
	st := n.tr.Stats()
	assert.Zero(t, st.Leased)
	assert.Zero(t, st.Retries)
}

// Where packets are lost, late and out of order, requests take longer, and are right.
func TestNetworkThatLosesPackets(t *testing.T) {
	t.Parallel()
	n, w := newWire(t, mirror, func(w *wire) { w.late, w.loses, w.doubles = 6*time.Millisecond, 3, 1 })
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	t.Log(n.exchanges(ctx, 8, 20_000), "pairs of exchanges, and", n.tr.Stats().Dials, "connections;", w.lost.Load(), "packets were lost")
	assert.Positive(t, w.lost.Load())
	assert.Zero(t, n.tr.Stats().Leased)
	assert.Empty(t, n.tr.Stats().Closes, "they are used again and again")
}

// A network that swallows what is sent there bounds no dial; the request's context and the dialer's own timeout do, and Close ends
// what is left.
func TestDialIntoNothing(t *testing.T) {
	n := newNetwork(t, mirror)
	for _, args := range [][]string{
		{"tuntap", "add", "dev", "t0", "mode", "tun"}, // nobody is at its other end
		{"addr", "add", "10.9.0.1/24", "dev", "t0"},
		{"link", "set", "t0", "up"},
	} {
		if err := n.run("ip", args...); err != nil {
			t.Skip("needs a device that swallows packets: ", err)
		}
	}
	dialer := &net.Dialer{}
	n.dialBy(dialer)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://10.9.0.2/", nil)
	require.NoError(t, err)
	_, err = n.tr.RoundTrip(req)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	assert.Equal(t, 1, n.tr.Stats().Dialing, "it goes on for the next request")
	begin := time.Now()
	require.NoError(t, n.tr.Close())
	assert.Less(t, time.Since(begin), patience)
	assert.Zero(t, n.tr.Stats().Dialing)

	again := n.tr.Clone()
	defer again.Close()
	dialer.Timeout = 200 * time.Millisecond
	_, err = (&http.Client{Transport: again}).Get("http://10.9.0.2/")
	var timeout net.Error
	require.ErrorAs(t, err, &timeout)
	assert.True(t, timeout.Timeout())
	assert.Zero(t, again.Stats().Dialing)
}
