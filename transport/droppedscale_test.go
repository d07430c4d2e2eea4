//go:build linux

package transport_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/internal/badserver"
	"github.com/watertight-go/watertight/internal/sockstat"
	"github.com/watertight-go/watertight/transport"
)

// 500 bodies of all sizes, and stalled ones, are dropped: two collections later all sockets and slots are back, and no cleanup was
// stopped by a server that stalls.
func TestDroppedAtScale(t *testing.T) {
	large := pattern(16 << 20)
	handler := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/stall" {
			_, _ = w.Write(pattern(20000))
			w.(http.Flusher).Flush()
			<-r.Context().Done()
			return
		}
		n, _ := strconv.Atoi(r.URL.Path[1:])
		_, _ = w.Write(large[:n])
	}
	ours(t, handler, func(s *story) {
		leaks := s.leaks()
		var kept []*http.Response
		for i := range 500 {
			kept = append(kept, s.get([]string{"/65536", "/1048576", "/16777216", "/stall"}[i%4]))
		}
		assert.Equal(s, 500, s.ours.Stats().Bodies)
		assert.Equal(s, 500, sockets(s, s.server)[sockstat.Established])
		runtime.KeepAlive(kept) // and from here on dropped
		kept = nil
		runtime.GC()
		runtime.GC()
		s.eventually("taken back", func() bool { return s.ours.Stats().Leased == 0 })
		s.eventually("no socket", func() bool { return sockets(s, s.server)[sockstat.Established] == s.ours.Stats().Idle })
		s.eventually("reported", func() bool { return len(leaks()) == 500 })
	})
}

// The connection of an upgrade that its caller drops is closed and reported; the peer's end reaches the caller as io.EOF before, and
// writing goes on.
func TestDroppedTunnel(t *testing.T) {
	ours(t, upgradeEcho, func(s *story) {
		leaks := s.leaks()
		func() {
			req := s.request(http.MethodGet, "/", nil)
			req.Header.Set("Connection", "Upgrade")
			req.Header.Set("Upgrade", "echo")
			resp := s.send(req)
			require.Equal(s, http.StatusSwitchingProtocols, resp.StatusCode)
			_, err := io.WriteString(resp.Body.(io.Writer), "hello")
			require.NoError(s, err)
			_, err = io.ReadFull(resp.Body, make([]byte, 5))
			require.NoError(s, err)
		}()
		assert.Len(s, s.ours.OpenBodies(), 1)
		s.eventuallyCollected("reported", func() bool { return len(leaks()) == 1 })
		assert.Equal(s, transport.Dropped, leaks()[0].Cause)
		s.eventually("no socket", func() bool { return len(sockets(s, s.server)) == 0 })
	})
}

// An OnLeak that panics is logged, and harms nobody: the connection is back, and the next leak is reported.
func TestPanickingOnLeak(t *testing.T) {
	s := newStory(t, sized, false, false)
	calls := make(chan struct{}, 2)
	s.ours.Logger = discardLogger
	s.ours.OnLeak = func(transport.Leak) {
		calls <- struct{}{}
		panic(errors.New("mine"))
	}
	for i := range 2 {
		_ = s.get("/1000000")
		s.eventuallyCollected("reported", func() bool { return len(calls) == i+1 })
	}
	assert.Zero(s, s.ours.Stats().Leased)
}

// Where the server hung up first we are left without TIME_WAIT; where we close first there is one. The kernel and Stats agree who
// was first.
func TestWhoClosedFirst(t *testing.T) {
	answer := badserver.Script{badserver.ReadRequest{}, badserver.Write(okResponse)}
	for _, serverFirst := range []bool{true, false} {
		last := badserver.Step(badserver.Stall{})
		if serverFirst {
			last = badserver.Close{}
		}
		server := badserver.Start(t, append(answer[:2:2], last))
		tr := &transport.Transport{}
		var local uint16
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) {
			local = uint16(i.Conn.LocalAddr().(*net.TCPAddr).Port)
		}})
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
		require.NoError(t, err)
		resp, err := tr.RoundTrip(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		if serverFirst {
			require.Eventually(t, func() bool { return tr.Stats().Open == 0 }, patience, tick)
		}
		require.NoError(t, tr.Close())
		assert.Equal(t, map[bool]int64{true: 1, false: 0}[serverFirst], tr.Stats().PeerFirst)
		port := mustPort(t, server.URL)
		require.Eventually(t, func() bool {
			ours, err := sockstat.List(sockstat.Filter{LocalPort: local, RemotePort: port, States: []sockstat.State{sockstat.TimeWait}})
			return err == nil && len(ours) == map[bool]int{true: 0, false: 1}[serverFirst]
		}, patience, 10*time.Millisecond)
	}
}
