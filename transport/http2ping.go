package transport

import (
	"context"
	"sync"
	"time"
)

// A connection whose server is gone without a word swallows requests until the network's own timeouts, which are long. So one that
// has something to wait for, and brings nothing, is asked whether it is there.
//
// It is asked rarely: servers punish clients who ping often with a GOAWAY. The strictest that is common, gRPC's, tolerates two pings
// between two responses, more only five minutes apart, and hardly any while there is no stream. So there is one ping when nothing has
// come for SendPingTimeout, further ones at pingAgain while nothing but answers comes, and none without streams: a connection that
// was silent for as long is asked as soon as it has one again.

// pingAgain is how long after an answered ping the next may be sent, if nothing else has come. It is gRPC's MinTime.
const pingAgain = 5 * time.Minute

const (
	defaultSendPing = 30 * time.Second
	defaultPingWait = 15 * time.Second
)

// A pingPlan says when to ping. Zero: never by us.
type pingPlan struct{ after, wait time.Duration }

// A pinger asks for one connection. It has a timer while the connection has streams, and a goroutine while it awaits an answer.
type pinger struct {
	mu       sync.Mutex // guards the fields below
	timer    *time.Timer
	armed    bool          // the timer is set, or what it set off is not done
	stopped  bool          // the connection is closed
	asked    bool          // and answered, and nothing else has come since
	answered time.Duration // when, by the core's clock
}

// began is called when a request is about to use the connection.
func (p *pinger) began(hc *http2Conn) {
	plan := hc.core.http2.ping
	if plan.after <= 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.armed && !p.stopped {
		p.setLocked(hc, max(plan.after-hc.wire.silentFor(), 0))
	}
}

func (p *pinger) setLocked(hc *http2Conn, d time.Duration) {
	p.armed = true
	if p.timer == nil {
		p.timer = time.AfterFunc(d, func() { p.due(hc) })
	} else {
		p.timer.Reset(d)
	}
}

// due is the timer's function.
func (p *pinger) due(hc *http2Conn) {
	plan := hc.core.http2.ping
	for {
		next, ask := p.next(hc, plan)
		switch {
		case ask:
			if !p.ask(hc, plan) {
				return
			}
			continue
		case hc.wire.busy() > 0 || p.leave(hc):
			p.mu.Lock()
			if !p.stopped {
				p.setLocked(hc, next)
			}
			p.mu.Unlock()
		}
		return
	}
}

// leave notes that no timer is set. It reports true if it must be all the same, for a stream that began meanwhile and saw it set.
func (p *pinger) leave(hc *http2Conn) bool {
	p.mu.Lock()
	p.armed = false
	p.mu.Unlock()
	if hc.wire.busy() == 0 {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	again := !p.armed
	p.armed = true
	return again
}

// next tells whether it is time to ask, or else how long until it may be.
func (p *pinger) next(hc *http2Conn, plan pingPlan) (d time.Duration, ask bool) {
	silent := hc.wire.silentFor()
	p.mu.Lock()
	defer p.mu.Unlock()
	now := hc.core.clock()
	if p.asked && now-silent <= p.answered {
		d = max(plan.after, pingAgain) - (now - p.answered)
	} else {
		p.asked = false
		d = plan.after - silent
	}
	return d, d <= 0 && hc.wire.busy() > 0
}

// ask pings, and closes the connection if there is no answer. It reports whether there was one.
func (p *pinger) ask(hc *http2Conn, plan pingPlan) bool {
	silent := hc.wire.silentFor()
	ctx, cancel := context.WithTimeout(context.Background(), plan.wait)
	defer cancel()
	before := hc.wire.lastFrame.Load()
	if err := hc.ping(ctx); err != nil && hc.wire.lastFrame.Load() == before {
		hc.retire(ReasonSilent)
		hc.wire.fail(errSilent(silent+plan.wait, plan.wait))
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked, p.answered = true, hc.core.clock()
	return !p.stopped
}

// stop is called when the connection is closed.
func (p *pinger) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped = true
	if p.timer != nil {
		p.timer.Stop()
	}
}
