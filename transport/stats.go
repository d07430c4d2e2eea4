package transport

import (
	"maps"
	"sync"
	"sync/atomic"

	"github.com/watertight-go/watertight/pool"
)

// Stats is a snapshot of a Transport. Counts of the present are taken together; counters only ever grow and may be a
// moment apart from them. It marshals to JSON as it is.
type Stats struct {
	Open    int `json:"open"`    // connections: idle and leased
	Idle    int `json:"idle"`    // connections that wait for a request
	Leased  int `json:"leased"`  // connections that carry an exchange or an open body
	Dialing int `json:"dialing"` // dials in progress
	Waiting int `json:"waiting"` // requests that wait for a connection
	Bodies  int `json:"bodies"`  // open response bodies that hold a connection

	Dials   int64 `json:"dials"`   // connections opened
	Reuses  int64 `json:"reuses"`  // requests that found an idle connection
	Retries int64 `json:"retries"` // attempts after the first

	Closes    map[pool.Reason]int64  `json:"closes"`     // connections closed, by reason
	PeerFirst int64                  `json:"peer_first"` // of these, how many the peer had hung up before: they leave us no TIME_WAIT
	Leaks     map[LeakCause]int64    `json:"leaks"`      // bodies taken back, by cause
	Drained   int64                  `json:"drained"`    // bytes read after Close to keep connections
	Salvaged  int64                  `json:"salvaged"`   // connections kept after their request was cancelled
	Absorbed  int64                  `json:"absorbed"`   // bytes of open bodies taken into memory after their peer hung up
	Exceeded  int64                  `json:"exceeded"`   // bodies whose peer hung up and left more than MaxAbsorbBytes: their sockets waited for the reader
	Origins   map[string]OriginStats `json:"origins"`    // those that have a connection, a dial or a waiting request now
}

// OriginStats is the present of one origin: a scheme and host, or an HTTP proxy that forwards to any.
type OriginStats struct {
	Open    int `json:"open"`
	Idle    int `json:"idle"`
	Leased  int `json:"leased"`
	Dialing int `json:"dialing"`
	Waiting int `json:"waiting"`
}

// Stats returns a snapshot. It may be called at any time, also after Close.
func (t *Transport) Stats() Stats {
	c := t.core.Load()
	if c == nil {
		return Stats{Closes: map[pool.Reason]int64{}, Leaks: map[LeakCause]int64{}, Origins: map[string]OriginStats{}}
	}
	return c.stats()
}

// A ledger counts what happened. The zero value is ready.
type ledger struct {
	dials, reuses, retries, drained, salvaged, absorbed, unabsorbed atomic.Int64

	mu        sync.Mutex // guards the fields below
	closes    map[pool.Reason]int64
	peerFirst int64
}

func (l *ledger) closed(why pool.Reason, peerFirst bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closes == nil {
		l.closes = map[pool.Reason]int64{}
	}
	l.closes[why]++
	if peerFirst {
		l.peerFirst++
	}
}

func (l *ledger) closings() (closes map[pool.Reason]int64, peerFirst int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	closes = maps.Clone(l.closes)
	if closes == nil {
		closes = map[pool.Reason]int64{}
	}
	return closes, l.peerFirst
}

func (c *core) stats() Stats {
	p := c.pool.Stats()
	s := Stats{
		Open: p.Open, Idle: p.Idle, Leased: p.Leased, Dialing: p.Dialing, Waiting: p.Waiting,
		Dials:    c.ledger.dials.Load(),
		Reuses:   c.ledger.reuses.Load(),
		Retries:  c.ledger.retries.Load(),
		Drained:  c.ledger.drained.Load(),
		Salvaged: c.ledger.salvaged.Load(),
		Absorbed: c.ledger.absorbed.Load(),
		Exceeded: c.ledger.unabsorbed.Load(),
		Origins:  make(map[string]OriginStats, len(p.Keys)),
	}
	for _, k := range p.Keys {
		o := s.Origins[k.Key.origin()] // an origin may have several routes
		o.Open += k.Open
		o.Idle += k.Idle
		o.Leased += k.Leased
		o.Dialing += k.Dialing
		o.Waiting += k.Waiting
		s.Origins[k.Key.origin()] = o
	}
	s.Bodies, s.Leaks = c.bodies.counts()
	s.Closes, s.PeerFirst = c.ledger.closings()
	return s
}
