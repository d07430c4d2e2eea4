package transport

import (
	"context"
	"errors"
	"sync"
)

// errTunnelUnwanted tells that nobody waited any more for a proxy's answer to CONNECT.
var errTunnelUnwanted = errors.New("transport: nobody waits for the proxy's answer to CONNECT any more")

// A tunnelList knows the CONNECT requests that wait for their proxy's answer. A dial goes on when its requests have given up, as
// its connection serves the next one; but a proxy that does not answer is no connection, and is not waited for in vain.
type tunnelList struct {
	mu   sync.Mutex
	open map[route]map[*context.CancelCauseFunc]struct{}
}

// enter notes a CONNECT, until done is called; the context that it returns ends when nobody wants the tunnel any more.
func (l *tunnelList) enter(ctx context.Context, r route) (_ context.Context, done func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open == nil {
		l.open = map[route]map[*context.CancelCauseFunc]struct{}{}
	}
	if l.open[r] == nil {
		l.open[r] = map[*context.CancelCauseFunc]struct{}{}
	}
	l.open[r][&cancel] = struct{}{}
	return ctx, func() {
		cancel(nil)
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.open[r], &cancel)
		if len(l.open[r]) == 0 {
			delete(l.open, r)
		}
	}
}

// abandon ends the CONNECTs of a route, and not those to the same address through another proxy, or for another user of this one.
func (l *tunnelList) abandon(r route) {
	l.mu.Lock()
	var cancels []context.CancelCauseFunc
	for cancel := range l.open[r] {
		cancels = append(cancels, *cancel)
	}
	l.mu.Unlock()
	for _, cancel := range cancels {
		cancel(errTunnelUnwanted)
	}
}

// abandonTunnel is called when a request gave up waiting for a connection: if it was the last, the tunnels that are not open
// yet end with it.
func (c *core) abandonTunnel(r route) {
	if r.proxy == "" || r.forwards() {
		return
	}
	if c.pool.Gauges(r).Waiting > 0 {
		return
	}
	c.tunnels.abandon(r)
}
