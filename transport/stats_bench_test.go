package transport

import (
	"context"
	"fmt"
	"net"
	"net/http/httptrace"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/pool"
)

// An inertConn is a connection that does nothing.
type inertConn struct {
	conn
	account *account
	nc      net.Conn
}

func (c *inertConn) protocol() string                                       { return "none" }
func (c *inertConn) served(bool) int64                                      { return 1 }
func (c *inertConn) parting() pool.Reason                                   { return "" }
func (c *inertConn) books() *account                                        { return c.account }
func (c *inertConn) network() net.Conn                                      { return c.nc }
func (c *inertConn) watch()                                                 {}
func (c *inertConn) peerGone() bool                                         { return false }
func (c *inertConn) Close() error                                           { return nil }
func (c *inertConn) info(pool.Lease[route, conn]) (i httptrace.GotConnInfo) { return i }

// transportWith returns a Transport with so many idle connections to so many origins, of each of which some were closed.
func transportWith(tb testing.TB, conns, origins int) *Transport {
	t := &Transport{}
	c, err := t.running()
	require.NoError(tb, err)
	near, far := net.Pipe()
	tb.Cleanup(func() { _, _ = near.Close(), far.Close() })
	c.pool.Dial = func(_ context.Context, r route) (conn, error) {
		return &inertConn{account: c.ledger.opened(r), nc: near}, nil
	}
	var leases []pool.Lease[route, conn]
	for i := range conns {
		l, err := c.pool.Acquire(tb.Context(), route{scheme: "http", host: fmt.Sprintf("host%d.example", i%origins)})
		require.NoError(tb, err)
		leases = append(leases, l)
	}
	for _, l := range leases {
		l.Release()
	}
	for i := range origins {
		for _, why := range []pool.Reason{ReasonPeerClosed, ReasonNoKeepAlive} {
			c.ledger.closed(c.ledger.opened(route{scheme: "http", host: fmt.Sprintf("host%d.example", i)}), why, true, time.Second)
		}
	}
	tb.Cleanup(func() { require.NoError(tb, t.Close()) })
	return t
}

// What a snapshot costs: with 9,000 connections to up to 100 origins it is to be under 50 microseconds, of one
// processor that has nothing else to do.
func BenchmarkStats(b *testing.B) {
	for _, origins := range []int{1, 10, 100, 9000} {
		b.Run(fmt.Sprintf("origins=%d", origins), func(b *testing.B) {
			t := transportWith(b, 9000, origins)
			require.Equal(b, 9000, t.Stats().Idle)
			require.Equal(b, 9000, t.Stats().Open)
			b.ReportAllocs()
			for b.Loop() {
				t.Stats()
			}
		})
	}
}

// What it costs to list 9,000 connections, for a page that somebody looks at.
func BenchmarkConnections(b *testing.B) {
	t := transportWith(b, 9000, 10)
	for b.Loop() {
		if len(t.Connections()) != 9000 {
			b.Fatal("not all")
		}
	}
}
