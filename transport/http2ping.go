package transport

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/watertight-go/watertight/internal/alarm"
)

// A connection whose server is gone without a word swallows requests until the network's own timeouts, which are long. So one that
// has something to wait for, and brings nothing, is asked whether it is there.
//
// It is asked rarely: servers punish clients who ping often with a GOAWAY. The strictest that is common, gRPC's, tolerates two pings
// between two responses, more only five minutes apart, and hardly any while there is no stream. So there is one ping when nothing has
// come for SendPingTimeout, further ones at pingAgain while nothing but answers comes, and none without requests: a connection that
// was silent for as long is asked as soon as one is sent again, or has to wait for its stream.

// pingAgain is how long after an answered ping the next may be sent, if nothing else has come. It is gRPC's MinTime.
const pingAgain = 5 * time.Minute

const (
	defaultSendPing = 30 * time.Second
	defaultPingWait = 15 * time.Second
)

// A pingPlan says when to ping. Zero: never.
type pingPlan struct {
	after, wait time.Duration
	always      bool // whenever nothing came for so long, with requests or without: the caller says so
}

// A pinger asks for one connection. It has a timer while the connection has requests, or always, and a goroutine while it awaits an
// answer.
type pinger struct {
	armed   atomic.Bool // the timer is set, or what it set off is not done
	patient atomic.Bool // it is set for streamWait

	mu       sync.Mutex // guards the fields below, and changes of those above
	timer    *alarm.Timer
	jam      *alarm.Timer  // see gaveUp; nil: it is not set
	stopped  bool          // the connection is closed
	asked    bool          // and answered, and nothing else has come since
	answered time.Duration // when, by the core's clock
	doubting bool          // doubt is asking
	trusted  uint64        // how many responses there must be before it asks again
}

// streamWait is how long a request may wait for its stream on a connection that was silent for long, until the server is asked.
const streamWait = time.Second

// opened is called when the connection is there.
func (p *pinger) opened(hc *http2Conn) {
	if hc.core.http2.ping.always {
		p.arm(hc, 0)
	}
}

// begins is called when a request is about to use the connection.
func (p *pinger) begins(hc *http2Conn) {
	if !p.armed.Load() {
		p.arm(hc, streamWait)
	}
}

// began is called when the head of a request was written.
func (p *pinger) began(hc *http2Conn) {
	if !p.armed.Load() || p.patient.Load() {
		p.arm(hc, 0)
	}
}

// arm sets the timer for when the server will have been silent for too long, and wait at least.
func (p *pinger) arm(hc *http2Conn, wait time.Duration) {
	plan := hc.core.http2.ping
	if plan.after <= 0 {
		return
	}
	d := plan.after - hc.wire.silentFor()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped || p.armed.Load() && !p.patient.Load() {
		return
	}
	p.patient.Store(d < wait)
	p.setLocked(hc, max(d, wait))
}

func (p *pinger) setLocked(hc *http2Conn, d time.Duration) {
	p.armed.Store(true)
	if p.timer == nil {
		p.timer = alarm.AfterFunc(d, func() { p.due(hc) })
	} else {
		p.timer.Reset(d)
	}
}

// due is the timer's function.
func (p *pinger) due(hc *http2Conn) {
	plan := hc.core.http2.ping
	p.patient.Store(false)
	for {
		next, ask := p.next(hc, plan)
		switch {
		case ask:
			if !p.ask(hc, plan) {
				return
			}
			continue
		case plan.always || hc.exchanges.Load() > 0 || p.leave(hc):
			p.mu.Lock()
			if !p.stopped {
				p.setLocked(hc, next)
			}
			p.mu.Unlock()
		}
		return
	}
}

// leave notes that no timer is set. It reports true if it must be all the same, for a request that began meanwhile and saw it set.
func (p *pinger) leave(hc *http2Conn) bool {
	p.armed.Store(false)
	return hc.exchanges.Load() > 0 && p.armed.CompareAndSwap(false, true)
}

// next tells whether it is time to ask, or else how long until it may be.
func (p *pinger) next(hc *http2Conn, plan pingPlan) (d time.Duration, ask bool) {
	silent := hc.wire.silentFor()
	p.mu.Lock()
	defer p.mu.Unlock()
	now := hc.core.clock()
	if plan.always {
		d = plan.after - silent
		return d, d <= 0
	}
	if p.asked && now-silent <= p.answered {
		d = max(plan.after, pingAgain) - (now - p.answered)
	} else {
		p.asked = false
		d = plan.after - silent
	}
	return d, d <= 0 && hc.exchanges.Load() > 0
}

// ask pings, and closes the connection if there is no answer. It reports whether there was one.
func (p *pinger) ask(hc *http2Conn, plan pingPlan) bool {
	silent := hc.wire.silentFor()
	ctx, cancel := context.WithTimeout(context.Background(), plan.wait)
	defer cancel()
	before := hc.wire.lastFrame.Load()
	err := hc.ping(ctx)
	switch {
	case err != nil && ctx.Err() == nil: // the connection has ended, or does so
		hc.wire.fail(err)
		return false
	case err != nil && hc.wire.lastFrame.Load() == before:
		hc.retire(ReasonSilent)
		hc.wire.fail(errSilent(silent+plan.wait, plan.wait))
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil { // or else something came, and perhaps nothing more
		p.asked, p.answered = true, hc.core.clock()
	}
	return !p.stopped
}

// doubt is called when the time of a stream's request is over. If no response came to any meanwhile, and the server does not answer a ping
// either, the connection takes no more requests, whatever else comes on it. After an answer that is not asked again before a response.
func (p *pinger) doubt(hc *http2Conn, s http2Stream) {
	plan, answers := hc.core.http2.ping, hc.wire.answered()
	p.mu.Lock()
	defer p.mu.Unlock()
	if plan.after <= 0 || p.stopped || p.doubting || answers != s.before || answers < p.trusted {
		return
	}
	p.doubting = true
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), plan.wait)
		defer cancel()
		if err := hc.ping(ctx); err != nil && ctx.Err() != nil { // or else the connection has ended, or does so
			hc.retire(ReasonSilent)
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.doubting, p.trusted = false, answers+1
	}()
}

// stop is called when the connection is closed.
func (p *pinger) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped = true
	if p.timer != nil {
		p.timer.Stop()
	}
	if p.jam != nil {
		p.jam.Stop()
	}
}
