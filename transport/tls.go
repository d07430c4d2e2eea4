package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http/httptrace"
	"sync"
)

var errNilConn = errors.New("transport: the dialer returned neither a connection nor an error")

// errHTTP2Off is about TLS of the caller's: ours offers no protocol that is not spoken.
var errHTTP2Off = errors.New("transport: the dialer's TLS connection has negotiated HTTP/2, which is turned off: " +
	`leave "h2" out of its NextProtos, or turn it on by ForceAttemptHTTP2 or Protocols`)

// errHTTP2Proxy is about TLS of the caller's, too.
var errHTTP2Proxy = errors.New("transport: the dialer's TLS connection to the proxy has negotiated HTTP/2, and proxies are asked over HTTP/1.1: " +
	`leave "h2" out of its NextProtos`)

// A handshakeTimeoutError tells that TLSHandshakeTimeout passed.
type handshakeTimeoutError struct{ with net.Addr }

func (e handshakeTimeoutError) Error() string {
	return fmt.Sprintf("transport: TLS handshake timeout (TLSHandshakeTimeout) with %v", e.with)
}
func (handshakeTimeoutError) Timeout() bool   { return true }
func (handshakeTimeoutError) Temporary() bool { return true }
func (handshakeTimeoutError) Is(target error) bool {
	return target == context.DeadlineExceeded
}

// A tlsConfigs has the configurations of what was dialed last: connections to the same server share one, as each would need half
// a kilobyte otherwise.
type tlsConfigs struct {
	base *tls.Config

	mu sync.Mutex // guards m
	m  map[tlsTarget]*tls.Config
}

type tlsTarget struct {
	serverName string
	http1      bool
}

// maxTLSConfigs bounds what is kept: a crawler's hosts leave no trace.
const maxTLSConfigs = 256

// of returns the configuration for a server, offering no other protocol where it must be http1.
func (t *tlsConfigs) of(serverName string, http1 bool) *tls.Config {
	target := tlsTarget{serverName, http1}
	t.mu.Lock()
	defer t.mu.Unlock()
	cfg := t.m[target]
	if cfg != nil {
		return cfg
	}
	cfg = t.base.Clone()
	if cfg.ServerName == "" {
		cfg.ServerName = serverName
	}
	if http1 {
		cfg.NextProtos = nil
	}
	if t.m == nil || len(t.m) >= maxTLSConfigs {
		t.m = map[tlsTarget]*tls.Config{}
	}
	t.m[target] = cfg
	return cfg
}

// clientTLS returns the TLS configuration of all connections: the caller's, offering what can be spoken.
func (c *core) clientTLS() *tls.Config {
	cfg := &tls.Config{}
	if own := c.settings.TLSClientConfig; own != nil {
		cfg = own.Clone()
	}
	c.dialect.offer(cfg, c.settings.TLSNextProto["h2"] != nil)
	return cfg
}

// A recordReader is how far a TLS handshake has read. Records are given to crypto/tls one by one, so that its buffer, which stays
// with the connection, grows no larger than it must.
type recordReader struct {
	head [5]byte // of the record (RFC 8446 section 5.1)
	n    int     // bytes of head that were read
	left int     // bytes of the record that were not
}

// read reads by receive, no further than to the end of the header or record it is in.
func (r *recordReader) read(receive func([]byte) (int, error), p []byte) (n int, err error) {
	if r.left > 0 {
		n, err = receive(p[:min(len(p), r.left)])
		r.left -= n
		return n, err
	}
	n, err = receive(p[:min(len(p), len(r.head)-r.n)])
	if r.n += copy(r.head[r.n:], p[:max(n, 0)]); r.n == len(r.head) {
		r.n, r.left = 0, int(r.head[3])<<8|int(r.head[4])
	}
	return n, err
}

// handshake wraps nc in TLS, offering no other protocol where it must be http1. It does not close nc on an error.
func (c *core) handshake(ctx context.Context, nc net.Conn, serverName string, http1 bool) (*tls.Conn, error) {
	sock := ownSocket(nc)
	if d := c.settings.TLSHandshakeTimeout; d > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, d, handshakeTimeoutError{sock.RemoteAddr()})
		defer cancel()
	}
	sock.intake = &intake{records: new(recordReader)}
	tc := tls.Client(&tlsSocket{socket: sock}, c.tls.of(serverName, http1))
	err := tracedHandshake(ctx, tc, httptrace.ContextClientTrace(ctx))
	sock.intake = nil
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return tc, err
}

// tracedHandshake runs the handshake, if it can be asked for, between the hooks of trace.
func tracedHandshake(ctx context.Context, tc stater, trace *httptrace.ClientTrace) (err error) {
	if trace != nil && trace.TLSHandshakeStart != nil {
		trace.TLSHandshakeStart()
	}
	if tc, ok := tc.(interface{ HandshakeContext(context.Context) error }); ok {
		err = tc.HandshakeContext(ctx)
	}
	if trace != nil && trace.TLSHandshakeDone != nil {
		var state tls.ConnectionState
		if err == nil {
			state = tc.ConnectionState()
		}
		trace.TLSHandshakeDone(state, err)
	}
	return err
}
