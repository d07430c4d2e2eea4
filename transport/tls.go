package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http/httptrace"
	"slices"
)

var errNilConn = errors.New("transport: the dialer returned neither a connection nor an error")

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

// clientTLS returns the TLS configuration of all connections: the caller's, offering "h2" only where TLSNextProto has somebody
// who speaks it.
func (c *core) clientTLS() *tls.Config {
	cfg := &tls.Config{}
	if own := c.settings.TLSClientConfig; own != nil {
		cfg = own.Clone()
	}
	if c.settings.TLSNextProto["h2"] == nil {
		cfg.NextProtos = slices.DeleteFunc(slices.Clone(cfg.NextProtos), func(p string) bool { return p == "h2" })
	}
	return cfg
}

// handshake wraps nc in TLS, offering no other protocol where it must be http1. It does not close nc on an error.
func (c *core) handshake(ctx context.Context, nc net.Conn, serverName string, http1 bool) (*tls.Conn, error) {
	cfg := c.tls.Clone()
	if cfg.ServerName == "" {
		cfg.ServerName = serverName
	}
	if http1 {
		cfg.NextProtos = nil
	}
	if d := c.settings.TLSHandshakeTimeout; d > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, d, handshakeTimeoutError{nc.RemoteAddr()})
		defer cancel()
	}
	tc := tls.Client(ownSocket(nc), cfg)
	err := tracedHandshake(ctx, tc, httptrace.ContextClientTrace(ctx))
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return tc, err
}

// tracedHandshake runs the handshake between the hooks of trace.
func tracedHandshake(ctx context.Context, tc *tls.Conn, trace *httptrace.ClientTrace) error {
	if trace != nil && trace.TLSHandshakeStart != nil {
		trace.TLSHandshakeStart()
	}
	err := tc.HandshakeContext(ctx)
	if trace != nil && trace.TLSHandshakeDone != nil {
		var state tls.ConnectionState
		if err == nil {
			state = tc.ConnectionState()
		}
		trace.TLSHandshakeDone(state, err)
	}
	return err
}
