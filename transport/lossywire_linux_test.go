package transport_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A wire is what lies between two namespaces, that of a client and that of a server: a test that carries each frame from one to the other, as
// late and as often as it likes, or not.
type wire struct {
	to [2]*os.File // the ends at the client's and the server's

	// late is how much later a frame arrives, at random, so that frames overtake each other; 0: all arrive at once, in order.
	late time.Duration
	// loses and doubles are how many frames of 100 that carry IP are lost, and come twice. Others are not lost: three unanswered
	// questions of ARP in a row, and the kernel says that there is no route to the host.
	loses, doubles int
	// cut tells whether all are lost, by the end that they go to.
	cut [2]atomic.Bool

	lost atomic.Int64

	mu     sync.Mutex // guards the fields below
	under  int        // frames that are late
	closed bool
}

// Options of packet(7) that package syscall does not name.
const (
	packetVnetHdr        = 15 // frames have what the kernel left to do of them before them, such as sums
	packetIgnoreOutgoing = 23 // what we write ourselves is not read
)

// newWire is newNetwork with a wire between the server and those who dial.
func newWire(t *testing.T, handler http.HandlerFunc, set func(*wire)) (*network, *wire) {
	near, between, far := &network{T: t, do: namespace(t)}, &network{T: t, do: namespace(t)}, &network{T: t, do: namespace(t)}
	w := &wire{}
	if set != nil {
		set(w)
	}
	thread := 0
	require.NoError(t, between.do(func() error { thread = syscall.Gettid(); return nil }))
	for i, n := range []*network{near, far} {
		if err := n.run("ip", "link", "add", "end", "type", "veth", "peer", "name", "inner"); err != nil {
			t.Skip("needs pairs of devices: ", err)
		}
		inner := fmt.Sprint("inner", i)
		for _, command := range []struct {
			in   *network
			args string
		}{
			{n, "link set inner name " + inner},
			{n, fmt.Sprint("link set ", inner, " netns ", thread)},
			{n, fmt.Sprintf("addr add 10.9.0.%d/24 dev end", i+1)},
			{n, "link set end up"},
			{between, "link set " + inner + " up"},
		} {
			require.NoError(t, command.in.run("ip", strings.Fields(command.args)...))
		}
		require.NoError(t, between.do(func() (err error) {
			w.to[i], err = packetSocket(inner)
			return err
		}))
	}
	var carriers sync.WaitGroup
	for i := range w.to {
		carriers.Go(func() { w.carry(1 - i) })
	}
	t.Cleanup(func() {
		w.mu.Lock()
		w.closed = true
		w.mu.Unlock()
		for _, f := range w.to {
			_ = f.Close()
		}
		carriers.Wait()
		require.Eventually(t, func() bool {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.under == 0
		}, patience, tick)
	})
	near.serve(far.listen("10.9.0.2:0"), handler)
	return near, w
}

// packetSocket returns what is read from and written to a device.
func packetSocket(device string) (*os.File, error) {
	dev, err := net.InterfaceByName(device)
	if err != nil {
		return nil, err
	}
	all := binary.NativeEndian.Uint16([]byte{0, 3}) // ETH_P_ALL
	fd, err := syscall.Socket(syscall.AF_PACKET, syscall.SOCK_RAW|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, int(all))
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), device)
	for _, option := range []int{packetVnetHdr, packetIgnoreOutgoing} {
		if err := syscall.SetsockoptInt(fd, syscall.SOL_PACKET, option, 1); err != nil {
			_ = f.Close()
			return nil, err
		}
	}
	if err := syscall.Bind(fd, &syscall.SockaddrLinklayer{Protocol: all, Ifindex: dev.Index}); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// carry carries what goes to an end.
func (w *wire) carry(end int) {
	buf := make([]byte, 1<<17)
	for {
		n, err := w.to[1-end].Read(buf)
		if err != nil {
			if !w.over() {
				continue // such as that the device is not yet up
			}
			return
		}
		if w.cut[end].Load() || carriesIP(buf[:n]) && rand.IntN(100) < w.loses {
			w.lost.Add(1)
			continue
		}
		times := 1
		if rand.IntN(100) < w.doubles {
			times++
		}
		for range times {
			if w.late == 0 {
				_, _ = w.to[end].Write(buf[:n])
				continue
			}
			w.delay(end, bytes.Clone(buf[:n]))
		}
	}
}

// carriesIP tells what a frame carries by the type in its header, behind what packetVnetHdr puts before it.
func carriesIP(frame []byte) bool {
	const vnetHeader, addresses = 10, 2 * 6
	at := vnetHeader + addresses
	return len(frame) >= at+2 && frame[at] == 0x08 && frame[at+1] == 0x00
}

func (w *wire) delay(end int, frame []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return
	}
	w.under++
	time.AfterFunc(rand.N(w.late), func() {
		_, _ = w.to[end].Write(frame)
		w.mu.Lock()
		defer w.mu.Unlock()
		w.under--
	})
}

func (w *wire) over() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.closed
}

// The ends of a wire.
const (
	toClient = 0
	toServer = 1
)
