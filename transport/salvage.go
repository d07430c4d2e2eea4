package transport

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/watertight-go/watertight/pool"
)

// maxSalvagesPerRoute bounds the connections of a route that wait for responses nobody wants.
const maxSalvagesPerRoute = 256

// A salvor counts the connections that are being salvaged.
type salvor struct {
	closed atomic.Bool

	mu    sync.Mutex // guards the fields below
	conns map[*http1Conn]struct{}
	count map[route]int
}

// begin reports whether one more connection may be salvaged.
func (v *salvor) begin(hc *http1Conn) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	r := hc.account.route
	if v.count[r] >= maxSalvagesPerRoute || v.closed.Load() {
		return false
	}
	if v.conns == nil {
		v.conns, v.count = map[*http1Conn]struct{}{}, map[route]int{}
	}
	v.conns[hc] = struct{}{}
	v.count[r]++
	return true
}

func (v *salvor) end(hc *http1Conn) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.conns, hc)
	r := hc.account.route
	if v.count[r]--; v.count[r] == 0 {
		delete(v.count, r)
	}
}

// close ends all salvages. One that has yet to set its deadline looks for closed afterwards.
func (v *salvor) close() {
	v.closed.Store(true)
	v.mu.Lock()
	conns := make([]*http1Conn, 0, len(v.conns))
	for hc := range v.conns {
		conns = append(conns, hc)
	}
	v.mu.Unlock()
	for _, hc := range conns {
		_ = hc.wire().SetReadDeadline(past)
	}
}

// past is a deadline that ends every blocked read.
var past = time.Unix(1, 0)

// salvage keeps the connection of a cancelled request from being closed, if the settings and the state of the exchange
// allow: its response is read to the end, which nobody waits for. A false return leaves the lease to the caller. What ended the
// exchange on a foreign connection has closed it.
func (hc *http1Conn) salvage(l pool.Lease[route, conn]) bool {
	settings := hc.account.core.settings
	if settings.SalvageTimeout <= 0 || settings.DisableKeepAlives || hc.sock().foreign || hc.peerGone() || !hc.h.Orphan() || !hc.account.core.salvor.begin(hc) {
		return false
	}
	hc.req.Store(nil)
	go hc.awaitOrphan(l)
	return true
}

// awaitOrphan is the goroutine of a salvage.
func (hc *http1Conn) awaitOrphan(l pool.Lease[route, conn]) {
	c := hc.account.core
	err := hc.h.Resume(time.Now().Add(c.settings.SalvageTimeout))
	saved := err == nil && !c.salvor.closed.Load() && hc.h.Skip(c.settings.maxDrainBytes()) && hc.h.KeepAlive()
	c.salvor.end(hc)
	if !saved {
		hc.discard(l, ReasonCancelled, nil)
		return
	}
	c.ledger.changeOf(hc.account, func(t *tally) { t.salvaged++ })
	hc.release(l, nil)
}
