package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http/httptrace"
	"net/url"
	"reflect"
	"sync/atomic"
	"time"
)

// defaultDialer opens connections where the caller has no dialer: as http.DefaultTransport does it.
var defaultDialer = &net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}

// dialTimeout bounds a dial with all that belongs to it, a proxy's answer and the handshake. It is for what has no bound of its
// own, and for peers who say nothing to a dial that nobody waits for any more.
const dialTimeout = 2 * time.Minute

// dial opens a connection for the pool. ctx has the values of the request that asked, and is not cancelled with it.
func (c *core) dial(ctx context.Context, r route) (cn conn, err error) {
	if own, ok := ctx.Value(ownDial{}).(*atomic.Bool); ok {
		own.Store(true)
	}
	now := c.pool.Gauges(r)
	c.ledger.dialing(r, now.Leases+now.Waiting)
	err = errDialExited
	defer func() { // deferred, as a dialer may call runtime.Goexit
		unwanted := errors.Is(context.Cause(ctx), context.Canceled) || errors.Is(err, errTunnelUnwanted)
		c.ledger.dialed(r, err != nil && !unwanted)
	}()
	if cn, err = c.open(ctx, r); err != nil && ends(ctx) && context.Cause(ctx) == context.DeadlineExceeded {
		err = slowDialError{"dialing " + r.origin(), dialTimeout, err}
	}
	return cn, err
}

// A slowDialError tells that a dial, or a part of it, ended by a bound that is not the caller's: to be told no more than that a deadline
// was exceeded helps nobody who has set none.
type slowDialError struct {
	what  string
	bound time.Duration
	err   error // what it came to
}

func (e slowDialError) Error() string {
	s := fmt.Sprintf("transport: %s took longer than %v", e.what, e.bound)
	if e.err != context.DeadlineExceeded {
		s += ": " + e.err.Error()
	}
	return s
}
func (slowDialError) Timeout() bool   { return true }
func (slowDialError) Temporary() bool { return true }
func (slowDialError) Is(target error) bool {
	return target == context.DeadlineExceeded
}
func (e slowDialError) Unwrap() error { return e.err }

// errDialExited is what the ledger is told of a dialer that did not return.
var errDialExited = errors.New("transport: the dialer did not return")

// open is dial without the ledger, in which the connection is from its making on.
func (c *core) open(ctx context.Context, r route) (conn, error) {
	nc, err := c.dialRoute(ctx, r)
	if err != nil {
		return nil, err
	}
	state := stateOf(r, nc)
	if tc := tlsOf(nc); tc != nil {
		var pc *protoConn
		err := orClose(nc, func() error { pc = c.nextProto(r, tc, state.NegotiatedProtocol); return nil })
		if err == nil && pc != nil {
			c.spoken.learn(r, sharesConns)
			return pc, nil
		}
	}
	if !c.speaksHTTP2(r, state) {
		if state != nil && state.NegotiatedProtocol == "h2" {
			_ = nc.Close()
			return nil, errHTTP2Off
		}
		if c.mayShare && r.scheme == "https" {
			c.spoken.learn(r, !sharesConns)
		}
		return c.newHTTP1Conn(r, nc), nil
	}
	c.spoken.learn(r, sharesConns)
	hc, err := c.newHTTP2Conn(ctx, r, nc, state)
	if err != nil {
		return nil, err
	}
	return hc, nil
}

// speaksHTTP2 reports whether a connection just dialed is to speak HTTP/2; state is nil without TLS.
func (c *core) speaksHTTP2(r route, state *tls.ConnectionState) bool {
	if state != nil {
		return c.dialect.http2 && state.NegotiatedProtocol == "h2"
	}
	return c.dialect.cleartext && r.scheme == "http" && !r.http1 && !r.forwards()
}

// tlsOf returns TLS of ours or of the caller's, nil where nc has none, or none of crypto/tls.
func tlsOf(nc net.Conn) *tls.Conn {
	tc, _ := unwrapped(nc).(*tls.Conn)
	return tc
}

// stateOf returns the state of TLS of ours or of the caller's, nil where there is none. What is not of crypto/tls is asked only where a
// dialer for TLS returned it: one for both kinds of connections may wrap them in something that has the method, and no TLS.
func stateOf(r route, nc net.Conn) *tls.ConnectionState {
	tc, ok := unwrapped(nc).(stater)
	if _, own := tc.(*tls.Conn); !ok || !own && !r.beginsWithTLS() {
		return nil
	}
	state := tc.ConnectionState()
	return &state
}

// A stater is a tls.Conn, a wrapper of one, or TLS of another package.
type stater interface{ ConnectionState() tls.ConnectionState }

func unwrapped(nc net.Conn) net.Conn {
	if s, ok := nc.(*socket); ok {
		return s.Conn
	}
	return nc
}

// dialRoute opens a connection that speaks HTTP to the origin, or to the proxy that forwards to it.
func (c *core) dialRoute(ctx context.Context, r route) (net.Conn, error) {
	proxy := r.proxyURL()
	if proxy == nil {
		return c.dialHost(ctx, r.scheme, r.addr(), r.serverName(), r.http1)
	}
	nc, err := c.dialHost(ctx, proxy.Scheme, r.dialAddr(), proxy.Hostname(), true)
	if err != nil {
		return nil, &net.OpError{Op: "proxyconnect", Net: "tcp", Err: err}
	}
	if state := stateOf(r, nc); state != nil && state.NegotiatedProtocol == "h2" {
		_ = nc.Close()
		return nil, errHTTP2Proxy
	}
	nc = onSocket(nc)
	if r.forwards() {
		return nc, nil
	}
	tunnelled := nc
	err = orClose(nc, func() (err error) { tunnelled, err = c.throughProxy(ctx, nc, proxy, r); return err })
	if err != nil {
		return nil, err
	}
	return tunnelled, nil
}

// orClose closes nc unless f returns no error: also where something of the caller's exits the goroutine in f.
func orClose(nc net.Conn, f func() error) (err error) {
	err = errDialExited
	defer func() {
		if err != nil {
			_ = nc.Close()
		}
	}()
	return f()
}

// throughProxy makes a connection to a proxy one to the origin behind it.
func (c *core) throughProxy(ctx context.Context, nc net.Conn, proxy *url.URL, r route) (net.Conn, error) {
	var err error
	if isSOCKS(proxy) {
		err = socksConnect(ctx, nc, proxy, r.addr())
	} else {
		err = c.connect(ctx, nc, proxy, r)
	}
	if err != nil || r.scheme != "https" {
		return nc, err
	}
	return c.handshake(ctx, nc, r.serverName(), r.http1)
}

// dialHost opens a connection to addr, with TLS if the scheme says so.
func (c *core) dialHost(ctx context.Context, scheme, addr, serverName string, http1 bool) (net.Conn, error) {
	s := c.settings
	dial, custom := c.dialTCP, scheme == "https" && (s.DialTLSContext != nil || s.DialTLS != nil)
	if custom {
		dial = c.dialCustomTLS
	}
	nc, err := c.dialSparing(ctx, addr, dial)
	if err == nil && s.unackedTimeout() > 0 {
		boundUnacked(nc, s.unackedTimeout())
	}
	if err != nil || custom || scheme != "https" {
		return nc, err
	}
	var tc *tls.Conn
	if err = orClose(nc, func() (err error) { tc, err = c.handshake(ctx, nc, serverName, http1); return err }); err != nil {
		return nil, err
	}
	return tc, nil
}

func (c *core) dialTCP(ctx context.Context, addr string) (nc net.Conn, err error) {
	s := c.settings
	switch {
	case s.DialContext != nil:
		nc, err = s.DialContext(ctx, "tcp", addr)
	case s.Dial != nil:
		nc, err = s.Dial("tcp", addr)
	default:
		nc, err = defaultDialer.DialContext(ctx, "tcp", addr)
	}
	return c.accept(ctx, nc, err, !forTLS)
}

// dialCustomTLS uses the caller's TLS dialer.
func (c *core) dialCustomTLS(ctx context.Context, addr string) (nc net.Conn, err error) {
	s := c.settings
	if s.DialTLSContext != nil {
		nc, err = s.DialTLSContext(ctx, "tcp", addr)
	} else {
		nc, err = s.DialTLS("tcp", addr)
	}
	return c.accept(ctx, nc, err, forTLS)
}

const forTLS = true // the last argument of accept

// accept takes what a dialer returned. Where that is TLS its handshake is completed here, if it can be asked for: what was negotiated
// decides how to go on, and a look at what has arrived, which does not wait, would begin a handshake and fail it.
func (c *core) accept(ctx context.Context, nc net.Conn, err error, secure bool) (net.Conn, error) {
	switch v := reflect.ValueOf(nc); {
	case err != nil:
	case nc == nil:
		err = errNilConn
	case v.Kind() == reflect.Pointer && v.IsNil():
		err = fmt.Errorf("transport: the dialer returned a nil %T, and no error", nc)
	}
	if err != nil {
		return nil, err
	}
	c.dialed(nc)
	tc, ok := nc.(stater)
	if _, own := nc.(*tls.Conn); ok && (own || secure) {
		var trace *httptrace.ClientTrace
		if secure {
			trace = httptrace.ContextClientTrace(ctx)
		}
		if err := orClose(nc, func() error { return tracedHandshake(ctx, tc, trace) }); err != nil {
			return nil, err
		}
	}
	return nc, nil
}
