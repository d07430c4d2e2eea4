//go:build linux

package transport_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/url"
	"os"
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

// sockets returns our sockets that are connected to the server, by state, as the kernel sees them.
func sockets(t testing.TB, server *httptest.Server) map[sockstat.State]int {
	t.Helper()
	return sockstat.Count(socketsTo(t, server.URL))
}

// wantNoSockets waits until the kernel has no socket of ours that is connected to the server.
func (s *story) wantNoSockets() {
	s.Helper()
	s.eventually("no socket", func() bool { return len(sockets(s, s.server)) == 0 })
}

// socketsTo returns our sockets that are connected to the server of a URL.
func socketsTo(t testing.TB, serverURL string) []sockstat.Socket {
	t.Helper()
	all, err := sockstat.List(sockstat.Filter{RemotePort: mustPort(t, serverURL), PID: os.Getpid()})
	require.NoError(t, err)
	return all
}

func mustPort(t testing.TB, serverURL string) uint16 {
	t.Helper()
	u, err := url.Parse(serverURL)
	require.NoError(t, err)
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	require.NoError(t, err)
	return uint16(port)
}

// A server that closes its idle connections finds ours closed as well, although no other request is made: no socket is
// left, in CLOSE_WAIT or any other state.
func TestIdleConnectionsEndWithTheirPeer(t *testing.T) {
	ours1(t, echo, func(s *story) {
		const n = 20
		var bodies []*http.Response
		for range n {
			bodies = append(bodies, s.get("/"))
		}
		for _, resp := range bodies {
			s.read(resp)
		}
		s.eventually("idle", func() bool { return s.ours.Stats().Idle > 0 })
		assert.Equal(s, map[sockstat.State]int{sockstat.Established: s.ours.Stats().Open}, sockets(s, s.server), "the kernel and we count the same")
		s.server.Config.SetKeepAlivesEnabled(false) // closes those that are idle
		s.eventually("no socket", func() bool { return len(sockets(s, s.server)) == 0 })
		st := s.ours.Stats()
		assert.Zero(s, st.Open)
		assert.Equal(s, st.Dials, st.Closes[transport.ReasonPeerClosed])
		assert.Equal(s, st.Dials, st.PeerFirst)
	})
}

// A hundred bodies dropped without Close: the collector tells, and all sockets are gone.
func TestDroppedBodiesLeaveNoSocket(t *testing.T) {
	ours1(t, sized, func(s *story) {
		const n = 100
		s.leaks()
		var bodies []*http.Response
		for range n {
			bodies = append(bodies, s.get("/1000000"))
		}
		assert.Equal(s, n, sockets(s, s.server)[sockstat.Established])
		runtime.KeepAlive(bodies)
		s.eventuallyCollected("no socket", func() bool { return len(sockets(s, s.server)) == 0 })
		s.eventually("counted", func() bool { return s.ours.Stats().Leaks[transport.Dropped] >= n })
		assert.EqualValues(s, n, s.ours.Stats().Leaks[transport.Dropped])
	})
}

// After Close the kernel knows no socket of ours, and no descriptor is left.
func TestCloseLeavesNoSocket(t *testing.T) {
	httptest.NewServer(nil).Close() // the first use of the network opens descriptors of the runtime's own
	before, err := sockstat.Descriptors(os.Getpid())
	require.NoError(t, err)
	server := httptest.NewServer(http.HandlerFunc(sized))
	tr := transport.New()
	for i := range 10 {
		resp, err := (&http.Client{Transport: tr}).Get(server.URL + fmt.Sprintf("/%d", i*1000))
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
	}
	require.Eventually(t, func() bool { return tr.Stats().Leased == 0 }, 10*time.Second, time.Millisecond, "drained")
	require.NoError(t, tr.Close())
	assert.Empty(t, sockets(t, server))
	server.Close()
	require.Eventually(t, func() bool {
		after, err := sockstat.Descriptors(os.Getpid())
		return err == nil && after <= before
	}, 10*time.Second, time.Millisecond)
	_, err = tr.RoundTrip(httptest.NewRequest(http.MethodGet, server.URL, nil))
	assert.ErrorIs(t, err, transport.ErrClosed)
}

// A Transport that is dropped without Close is collected with its idle connections; an open body goes on.
func TestDroppedTransportIsCollected(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(sized))
	defer server.Close()
	open := func() *http.Response {
		tr := transport.New()
		for range 3 {
			resp, err := (&http.Client{Transport: tr}).Get(server.URL + "/10")
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
		}
		resp, err := (&http.Client{Transport: tr}).Get(server.URL + "/1000000")
		require.NoError(t, err)
		idle, err := (&http.Client{Transport: tr}).Get(server.URL + "/10")
		require.NoError(t, err)
		require.NoError(t, idle.Body.Close())
		require.Equal(t, 2, sockets(t, server)[sockstat.Established])
		runtime.KeepAlive(tr)
		return resp
	}()
	collect(t, "the idle one is closed", func() bool { return sockets(t, server)[sockstat.Established] == 1 })
	n := 0
	for buf := make([]byte, 1<<16); ; {
		m, err := open.Body.Read(buf)
		n += m
		if err != nil {
			break
		}
	}
	assert.Equal(t, 1000000, n)
	require.Eventually(t, func() bool { return len(sockets(t, server)) == 0 }, 10*time.Second, time.Millisecond)
}

// The connection of an upgrade that its caller drops is closed and reported; the peer's end reaches the caller as io.EOF before, and
// writing goes on.
func TestDroppedTunnel(t *testing.T) {
	ours1(t, upgradeEcho, func(s *story) {
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
