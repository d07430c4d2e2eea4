package transport

import (
	"net/http/httptrace"
	"slices"

	"github.com/watertight-go/watertight/pool"
)

// partings are the reasons that count also where the peer has hung up meanwhile, as it does after the last response.
var partings = [...]pool.Reason{"", ReasonNoKeepAlive, ReasonUnfinished, ReasonCancelled, ReasonUnread, ReasonLeaked}

func (hc *http1Conn) parting() pool.Reason { return partings[hc.ownEnd] }

// part ends the connection with its exchange, whose lease is still ours.
func (hc *http1Conn) part(l pool.Lease[route, conn], why pool.Reason) {
	hc.parts(why)
	l.Discard(why)
}

// parts notes why it is us who end the connection.
func (hc *http1Conn) parts(why pool.Reason) {
	hc.ownEnd = uint8(max(slices.Index(partings[:], why), 0))
}

// leave ends an exchange whose lease has ended, or is being ended, because the peer hung up.
func (hc *http1Conn) leave(l pool.Lease[route, conn], trace *httptrace.ClientTrace) {
	hc.end()
	l.Discard(ReasonPeerClosed)
	hc.putIdle(trace, errNotKept)
}
