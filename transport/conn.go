package transport

import (
	"errors"
	"io"
	"net"
	"net/http/httptrace"
	"time"

	"github.com/watertight-go/watertight/pool"
	"github.com/watertight-go/watertight/reaper"
)

// A conn is a connection of the pool, of whatever protocol: an http1Conn, http2Conn or protoConn.
type conn interface {
	io.Closer
	// protocol is what is spoken, as in Response.Proto; served how many requests were begun.
	protocol() string
	served(leased bool) int64
	// parting returns why the connection is closed, if its last exchange knows better than the pool; else "".
	parting() pool.Reason
	// books returns the account of the connection's route.
	books() *account
	// network returns the connection beneath, as it was dialed or with TLS.
	network() net.Conn
	// watch begins to look for the peer's hang-up.
	watch()
	// peerGone reports whether the peer hung up before us.
	peerGone() bool
	// check tells whether a connection that was idle may carry a request; if not, the reason to discard it. Where the request is sent
	// with a look, see looksLater, there is none now.
	check(looksLater bool) (pool.Reason, bool)
	// nearItsEnd reports whether the peer may be about to hang up, which would leave it unknown whether it saw a request.
	nearItsEnd(l pool.Lease[route, conn]) bool
	// admits reports whether the connection, which is leased, may serve so many requests at once.
	admits(leases int) bool
	// holders tells who has the connection, which has been leased for so long: the requests and open bodies, as far as they are
	// known, one at least.
	holders(leased time.Duration) []Holder
	// info describes the connection for httptrace.
	info(l pool.Lease[route, conn]) httptrace.GotConnInfo
}

// Why connections are closed, besides the pool's own reasons.
const (
	ReasonPeerClosed  pool.Reason = "peer closed"        // the peer hung up while the connection was idle, or behind an open body that was absorbed
	ReasonPeerReset   pool.Reason = "peer reset"         // the peer reset the connection while it was idle
	ReasonNearItsEnd  pool.Reason = "near its end"       // the server may be hanging up, and the request cannot be repeated
	ReasonUnsolicited pool.Reason = "unsolicited bytes"  // bytes nobody asked for on an idle connection
	ReasonNoKeepAlive pool.Reason = "no keep-alive"      // either side announced the end: Connection: close, HTTP/1.0, DisableKeepAlives, a body that ends with the connection, GOAWAY, no stream allowed any more, as many requests as the server takes; or it is doubtful where the response ended
	ReasonFailed      pool.Reason = "exchange failed"    // an error of the connection or the protocol
	ReasonCancelled   pool.Reason = "cancelled"          // the request was cancelled or timed out
	ReasonUnread      pool.Reason = "body unread"        // Close came before the body's end, and it was too much or too slow to drain
	ReasonUnfinished  pool.Reason = "request unfinished" // exchanges ended before their requests were written: one by its response, or most on an HTTP/2 connection
	ReasonSilent      pool.Reason = "server silent"      // no answer to a ping of HTTP/2
	ReasonLeaked      pool.Reason = "body leaked"        // the body was dropped or forgotten
	ReasonUpgraded    pool.Reason = "upgrade ended"      // the caller's own after an upgrade or a CONNECT, which has ended
)

// hasLeft reports whether the peer of a connection that is about to be closed ended it before us. The reaper may not have come to
// say so yet, or there is none.
func hasLeft(cn conn) bool {
	if cn.peerGone() {
		return true
	}
	if sock := socketBeneath(cn.network()); sock != nil && sock.is(hungUp) {
		return true
	}
	return isHangup(reaper.Probe(cn.network()))
}

func isHangup(err error) bool {
	return errors.Is(err, reaper.ErrHangup) || errors.Is(err, reaper.ErrReset)
}
