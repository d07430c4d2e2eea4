package transport

import (
	"maps"

	"github.com/watertight-go/watertight/pool"
)

// Stats is a snapshot of a Transport. It marshals to JSON as it is, and can be published with expvar:
//
//	expvar.Publish("http", expvar.Func(func() any { return t.Stats() }))
//
// Its maps of reasons and causes may be shared with other snapshots, and must not be changed.
type Stats struct {
	Counts // of all origins together; Peak is the highest of one

	// Ages are those of the connections closed, of all origins together.
	Ages Ages `json:"ages"`

	// Origins is by scheme and host, or by HTTP proxy that forwards to any. It has the origins with a connection, a dial or a waiting
	// request now, and the 100 that were the last to have one. The counts of an origin that was forgotten begin again at 0.
	Origins map[string]Counts `json:"origins"`
}

// Counts are the ledger of one origin, or of all. At any moment Open is Dials minus the sum of Closes, and that sum is PeerFirst
// plus WeFirst. Idle, Leased, Dialing and Waiting are of one moment as well, which may be a little after that of the rest.
type Counts struct {
	// The present.
	Open     int `json:"open"`     // connections: idle, leased, upgraded, and for a moment those just dialed and those given up
	Idle     int `json:"idle"`     // connections that wait for a request
	Leased   int `json:"leased"`   // connections that carry an exchange or an open body
	Upgraded int `json:"upgraded"` // connections that an upgrade or a CONNECT made their caller's
	Dialing  int `json:"dialing"`  // dials in progress
	Waiting  int `json:"waiting"`  // requests that wait for a connection
	Bodies   int `json:"bodies"`   // open response bodies that hold a connection

	// What happened. These only grow.
	Requests     int64 `json:"requests"`      // exchanges begun, retries among them
	Reuses       int64 `json:"reuses"`        // of these, on a connection that had served before
	Retries      int64 `json:"retries"`       // attempts after the first
	Dials        int64 `json:"dials"`         // connections opened
	DialErrors   int64 `json:"dial_errors"`   // dials that failed; not those that were cancelled because nobody waited any more
	Waits        int64 `json:"waits"`         // requests that queued because of MaxConnsPerHost, or for a stream with StrictMaxConcurrentRequests
	WaitTimeouts int64 `json:"wait_timeouts"` // of these, those that AcquireTimeout ended
	Peak         int64 `json:"peak"`          // most requests at once, running or waiting, as seen whenever a connection was dialed

	Closes    map[pool.Reason]int64 `json:"closes,omitempty"` // connections closed, each by one reason; nil: none
	PeerFirst int64                 `json:"peer_first"`       // of these, those whose peer had ended first: they leave us no TIME_WAIT
	WeFirst   int64                 `json:"we_first"`         // the others

	Leaks    map[LeakCause]int64 `json:"leaks,omitempty"` // bodies that leaked, by cause; nil: none
	Drained  int64               `json:"drained"`         // bytes read after Close to keep connections
	Salvaged int64               `json:"salvaged"`        // connections kept after their request was cancelled
	Absorbed int64               `json:"absorbed"`        // bytes of open bodies taken into memory after their peer hung up
	Exceeded int64               `json:"exceeded"`        // bodies whose peer hung up and left more than MaxAbsorbBytes: their sockets waited for the reader
}

// Stats returns a snapshot. It may be called at any time, also after Close. The time that it takes grows with the number of origins, not
// with that of connections, and no request waits for it longer than it takes to look at 32 origins.
func (t *Transport) Stats() Stats {
	c := t.core.Load()
	if c == nil {
		return Stats{Ages: (&ages{}).told(), Origins: map[string]Counts{}}
	}
	return c.stats()
}

func (c *core) stats() Stats {
	sum, old, accounts := c.ledger.sum()
	now := c.pool.Total()
	s := Stats{Ages: old.told(), Origins: make(map[string]Counts, accounts)}
	several := false // routes of one origin may have come
	for e := range c.ledger.each {
		sum.bodies += e.bodies
		o := e.counts(c.pool.Gauges(e.account.route))
		if several = several || !e.account.route.isPlain(); several {
			if before, ok := s.Origins[e.account.name]; ok {
				o.add(before)
			}
		}
		s.Origins[e.account.name] = o
	}
	s.Counts = sum.counts(now)
	return s
}

// counts returns what is counted in an entry, and now by the pool. Its maps are those of other snapshots as well.
func (e *entry) counts(now pool.Gauges) Counts {
	return Counts{
		Idle: now.Idle, Leased: now.Leased, Dialing: now.Dialing, Waiting: now.Waiting,
		Open: int(e.open), Upgraded: int(e.upgraded), Bodies: int(e.bodies),
		Requests: e.reuses + e.fresh, Reuses: e.reuses, Retries: e.retries, Dials: e.dials, DialErrors: e.dialErrors,
		Waits: e.waits, WaitTimeouts: e.waitTimeouts, Peak: e.peak,
		Closes: e.closes.byKind(), PeerFirst: e.peerFirst, WeFirst: e.weFirst,
		Leaks: e.leaks.byKind(), Drained: e.drained, Salvaged: e.salvaged, Absorbed: e.absorbed, Exceeded: e.exceeded,
	}
}

// add adds what is counted of another route to the same origin.
func (s *Counts) add(o Counts) {
	s.Open += o.Open
	s.Idle += o.Idle
	s.Leased += o.Leased
	s.Dialing += o.Dialing
	s.Waiting += o.Waiting
	s.Upgraded += o.Upgraded
	s.Bodies += o.Bodies
	s.Requests += o.Requests
	s.Reuses += o.Reuses
	s.Retries += o.Retries
	s.Dials += o.Dials
	s.DialErrors += o.DialErrors
	s.Waits += o.Waits
	s.WaitTimeouts += o.WaitTimeouts
	s.Peak = max(s.Peak, o.Peak)
	s.Closes = sum(s.Closes, o.Closes)
	s.PeerFirst += o.PeerFirst
	s.WeFirst += o.WeFirst
	s.Leaks = sum(s.Leaks, o.Leaks)
	s.Drained += o.Drained
	s.Salvaged += o.Salvaged
	s.Absorbed += o.Absorbed
	s.Exceeded += o.Exceeded
}

// sum returns the counts of both.
func sum[K comparable](x, y map[K]int64) map[K]int64 {
	if x == nil {
		return y
	}
	both := maps.Clone(x) // which others have
	for k, n := range y {
		both[k] += n
	}
	return both
}
