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
	open map[string]map[*context.CancelCauseFunc]struct{} // by the address behind the proxy
}

// enter notes a CONNECT, until done is called; the context that it returns ends when nobody wants the tunnel any more.
func (l *tunnelList) enter(ctx context.Context, addr string) (_ context.Context, done func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open == nil {
		l.open = map[string]map[*context.CancelCauseFunc]struct{}{}
	}
	if l.open[addr] == nil {
		l.open[addr] = map[*context.CancelCauseFunc]struct{}{}
	}
	l.open[addr][&cancel] = struct{}{}
	return ctx, func() {
		cancel(nil)
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.open[addr], &cancel)
		if len(l.open[addr]) == 0 {
			delete(l.open, addr)
		}
	}
}

// abandon ends the CONNECTs to an address.
func (l *tunnelList) abandon(addr string) {
	l.mu.Lock()
	var cancels []context.CancelCauseFunc
	for cancel := range l.open[addr] {
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
	c.tunnels.abandon(r.addr())
}
