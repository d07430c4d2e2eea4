package transport

import (
	"cmp"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/watertight-go/watertight/pool"
)

// A Connection describes a connection of the pool.
type Connection struct {
	Origin   string        // scheme and host, as in Stats
	Protocol string        // "HTTP/1.1", "HTTP/2.0", or what TLSNextProto calls it
	Leased   bool          // it carries an exchange or an open body; else it is idle
	Since    time.Duration // for how long it has been leased, or idle
	Age      time.Duration // since it was opened
	Requests int64         // begun on it; 0 if a RoundTripper of TLSNextProto serves it
	Streams  int           // requests and open bodies on it now: more than 1 over HTTP/2 only
	Retired  pool.Reason   // why it is to be closed when it is not leased any more; "" if it is not
	Local    string        // our address, as in the output of ss and lsof; "" if it has none
	Remote   string        // the peer's address: the server's, or a proxy's
}

// Connections returns the connections that are idle or leased, sorted by origin, leased ones before idle ones, those longest in their
// state first. It takes some milliseconds for thousands of them, but no request waits for it longer than some microseconds; so the list
// is not of one moment. Connections that an upgrade made their caller's are among OpenBodies.
func (t *Transport) Connections() []Connection {
	c := t.core.Load()
	if c == nil {
		return nil
	}
	list := make([]Connection, 0, c.pool.Total().Open)
	for _, info := range c.pool.All() {
		cn := info.Conn
		nc := cn.network()
		list = append(list, Connection{
			Origin: cn.books().name, Protocol: cn.protocol(), Leased: info.Leased, Since: info.Since, Age: info.Age,
			Requests: cn.served(info.Leased), Streams: info.Leases, Retired: info.Retired,
			Local: addrOf(nc.LocalAddr()), Remote: addrOf(nc.RemoteAddr()),
		})
	}
	slices.SortFunc(list, func(x, y Connection) int {
		switch {
		case x.Origin != y.Origin:
			return strings.Compare(x.Origin, y.Origin)
		case x.Leased != y.Leased && x.Leased:
			return -1
		case x.Leased != y.Leased:
			return 1
		}
		return cmp.Or(cmp.Compare(y.Since, x.Since), strings.Compare(x.Local, y.Local))
	})
	return list
}

func addrOf(a net.Addr) string {
	if a == nil {
		return ""
	}
	return a.String()
}

func (hc *http1Conn) protocol() string { return "HTTP/1.1" }

// served counts the exchange in progress as well. One goes on without its connection where the body was absorbed.
func (hc *http1Conn) served(leased bool) int64 { return hc.h.Begun(leased || hc.req.Load() != nil) }

func (hc *http2Conn) protocol() string { return "HTTP/2.0" }

// served counts the heads that were written. Their streams' numbers do not tell: the codec leaves out that of a request which was given up
// before.
func (hc *http2Conn) served(bool) int64 {
	w := hc.wire
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.heads
}

func (pc *protoConn) protocol() string { return pc.nc.ConnectionState().NegotiatedProtocol }

func (pc *protoConn) served(bool) int64 { return 0 }
