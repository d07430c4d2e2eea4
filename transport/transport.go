package transport

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/watertight-go/watertight/internal/leakhook"
)

// A Transport is an [http.RoundTripper] that keeps connections in a pool, closes idle ones the moment their peer
// hangs up, and takes connections back from callers who never close a response body.
//
// The first group of fields is that of [http.Transport], with the same names, types and meaning; replacing the
// identifier compiles. Two differ on purpose if they are 0: MaxIdleConnsPerHost and IdleConnTimeout. If a field says
// nothing about negative values, they count as 0. The zero value is ready to use; [New] gives the settings of
// [http.DefaultTransport].
//
// Fields must not be changed after the first request: it takes a copy of the settings, and later changes are not
// seen. Functions among them may be called concurrently. A Transport is safe for concurrent use and must not be copied; use [Transport.Clone].
//
// A Transport that is dropped without Close is collected with its idle connections. For that it must be unreachable: if one of its own
// callbacks (OnLeak, DialContext, ...) refers to it, it is not collected, and needs a Close.
//
// Nor is one that is first used in a bubble of testing/synctest, where the collector may not touch anything: it needs a
// Close, and only LeakTimeout finds bodies that are dropped there. The same is true of a [Guard].
type Transport struct {
	// Proxy returns the proxy for a request, nil for none. An error ends the request. Schemes are "http", "https",
	// "socks5" and "socks5h"; none, and any other, counts as "http". User info in the URL becomes Proxy-Authorization. Nil: no proxy,
	// whatever the environment says; New sets http.ProxyFromEnvironment.
	Proxy func(*http.Request) (*url.URL, error)
	// OnProxyConnectResponse is called with a proxy's answer to CONNECT; its error fails the dial.
	OnProxyConnectResponse func(ctx context.Context, proxyURL *url.URL, connectReq *http.Request, connectRes *http.Response) error
	// DialContext opens TCP connections; nil: a net.Dialer with a 30 s timeout. It runs in a goroutine of its own and
	// may outlive the request that asked: ctx has the request's values, not its cancellation. It ends when
	// the dial is done, with Close, after 2 minutes, and when there is no use for the connection any more.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)
	// Dial opens TCP connections where DialContext is nil.
	//
	// Deprecated: use DialContext.
	Dial func(network, addr string) (net.Conn, error)
	// DialTLSContext opens connections to https origins that are reached through no proxy, and to https proxies, handshake
	// done; ctx is as for DialContext. TLSClientConfig and TLSHandshakeTimeout do not apply to it. For HTTP/2 what it returns is a tls.Conn, or has the same
	// ConnectionState method; its HandshakeContext method is called if it has one. Nil: DialContext and TLSClientConfig.
	DialTLSContext func(ctx context.Context, network, addr string) (net.Conn, error)
	// DialTLS is DialTLSContext without a context; it is used where that is nil.
	//
	// Deprecated: use DialTLSContext.
	DialTLS func(network, addr string) (net.Conn, error)
	// TLSClientConfig is the configuration of TLS connections; nil: the defaults. It is cloned.
	TLSClientConfig *tls.Config
	// TLSHandshakeTimeout bounds a TLS handshake; 0: no bound of its own.
	TLSHandshakeTimeout time.Duration
	// DisableKeepAlives uses every connection only for the request for which it was dialed. It is not about TCP keep-alive.
	DisableKeepAlives bool
	// DisableCompression stops requests without an Accept-Encoding from asking for gzip and from decoding it.
	DisableCompression bool
	// MaxIdleConns bounds the idle connections over all hosts; the least recently used one is closed. 0: no bound.
	// Negative: no connection is kept.
	MaxIdleConns int
	// MaxIdleConnsPerHost bounds the idle connections per host. 0 means no bound; with http.Transport it means 2. With a
	// bound below the number of concurrent requests, connections are closed and dialed all the time. Negative: no connection is kept.
	MaxIdleConnsPerHost int
	// MaxConnsPerHost bounds the connections per host, dialing, in use and idle together; requests beyond it wait. A connection
	// that an upgrade or a CONNECT made its caller's does not count, nor does one of HTTP/2 whose streams go on but that takes no
	// more requests. 0: no bound.
	MaxConnsPerHost int
	// IdleConnTimeout is how long a connection stays idle before it is closed. 0: for ever, except that it is 90 s
	// if MaxIdleConns and MaxIdleConnsPerHost are 0 too, since nothing else would bound idle connections. Negative: for ever.
	IdleConnTimeout time.Duration
	// ResponseHeaderTimeout bounds the wait for a response's head after the request is written, body included. 0: no
	// bound.
	ResponseHeaderTimeout time.Duration
	// ExpectContinueTimeout is how long a request with "Expect: 100-continue" waits for the server's "100 Continue" until it sends
	// its body. 0: the body is sent at once.
	ExpectContinueTimeout time.Duration
	// TLSNextProto maps protocols that a TLS handshake may negotiate to functions. The function is called once for each such
	// connection, and returns the RoundTripper that serves all requests on it, any number at once. If the map is not nil, HTTP/2 is
	// on only if Protocols says so; a function for "h2" takes the place of our own HTTP/2.
	TLSNextProto map[string]func(authority string, c *tls.Conn) http.RoundTripper
	// ProxyConnectHeader is sent with CONNECT requests to proxies.
	ProxyConnectHeader http.Header
	// GetProxyConnectHeader returns the header for one CONNECT request and overrides ProxyConnectHeader.
	GetProxyConnectHeader func(ctx context.Context, proxyURL *url.URL, target string) (http.Header, error)
	// MaxResponseHeaderBytes bounds a response's head, together with the informational responses before it that no Got1xxResponse
	// hook of httptrace takes. 0: 10 MiB. In any case a head of more than 10,000 fields is refused, and so is a trailer section over
	// HTTP/1.1: a field costs many times its bytes.
	MaxResponseHeaderBytes int64
	// WriteBufferSize and ReadBufferSize size the one buffer that a connection has while it is leased: the larger of
	// them, and at least 8 KiB. Over HTTP/1.1 it also bounds the trailer section of a response. It is one of 64 KiB while a body over http is
	// read in small pieces and more of it has arrived.
	WriteBufferSize int
	ReadBufferSize  int
	// ForceAttemptHTTP2 allows HTTP/2 where a custom dialer or TLSClientConfig would switch it off.
	ForceAttemptHTTP2 bool
	// HTTP2 configures HTTP/2 connections; nil: the defaults. SendPingTimeout 0 is 30 s, and 5 minutes after a ping
	// that was answered, see HTTP/2 in the package documentation; negative: no pings. MaxReadFrameSize 0 is 16 KiB.
	HTTP2 *http.HTTP2Config
	// Protocols is the set of protocols to use; nil: HTTP/1.1, and HTTP/2 as ForceAttemptHTTP2 and TLSNextProto say. If none of
	// the set can be used, such as HTTP2 alone for an http origin, HTTP/1.1 is used nevertheless, as with http.Transport.
	Protocols *http.Protocols

	// AcquireTimeout bounds the wait for a connection under MaxConnsPerHost, and for a stream under
	// HTTP2.StrictMaxConcurrentRequests. 0: the request's context alone does.
	AcquireTimeout time.Duration
	// RetryOnNewConns sends a request once more if its connection had just been opened and ended in its TLS handshake, or before any
	// byte of a response, as happens to connections that a server's process had accepted when it was killed. Otherwise the rules are those
	// for a connection that had served before, see One request in the package documentation. False: such a request fails, as with
	// http.Transport; so one that crashes its server is not sent to the next server.
	RetryOnNewConns bool
	// MaxConnLifetime is how old a connection may become before it is replaced. Each connection gets between 90 and 100 per cent of it, at
	// random, so that a fleet does not redial at once. 0: no bound.
	MaxConnLifetime time.Duration
	// MaxDrainBytes is how much of an unread body Close reads to keep the connection. 0: 256 KiB; negative: nothing.
	MaxDrainBytes int64
	// DrainTimeout bounds the time for that reading, which goes on in the background. Over HTTP/2 nothing is read: there Close resets the
	// stream, and waits at most this long for the reset to be written. 0 or negative: 50 ms.
	DrainTimeout time.Duration
	// UnackedTimeout is how long a server may leave what we sent unacknowledged, or not take it, before its connection is given
	// up: Linux's TCP_USER_TIMEOUT (RFC 5482). It applies to the net package's own connections, also beneath TLS. On other systems
	// retransmission limits and TCP keep-alive find dead servers. 0: 5 minutes; negative: the system's default.
	UnackedTimeout time.Duration
	// SalvageTimeout is how long the connection of a cancelled or timed out request may wait for its response. The response is read to
	// its end, if it has no more than MaxDrainBytes, and thrown away; then the connection is kept instead of closed. It counts
	// towards MaxConnsPerHost meanwhile. At most 256 connections per host wait; further ones are closed, and so is one of a
	// dialer that is not the net package's own. 0 or negative: none waits. HTTP/2 has no need of it.
	SalvageTimeout time.Duration
	// LeakTimeout is how long an open body may have no Read in progress until it counts as forgotten. Then its connection is taken
	// back, and a later Read returns a *ReclaimedError. The time that a program spends between two Reads, for example in a Write to a slow
	// client, counts as well; the time within WriteTo, which io.Copy uses, and while the request's body is still being read does not. 0: a
	// forgotten body is reported after 5 minutes, and taken back when its connection is needed by a request that waits under
	// MaxConnsPerHost, or by a dial that is short of descriptors. Negative: neither. The body of an upgrade or a CONNECT is never forgotten.
	LeakTimeout time.Duration
	// MaxAbsorbBytes is how much of an open body is taken into memory when its server has hung up, so that the socket can
	// be closed without waiting for the reader; at most 64 MiB over all bodies. 0: 1 MiB; negative: nothing. On Windows, and on
	// connections that are not the net package's own, nothing tells of the hang-up before a Read, so nothing is taken.
	MaxAbsorbBytes int64
	// OnLeak is called once for each response body that leaked, in a goroutine of its own and with no lock held. If the connection is
	// taken back, that was done before. A panic in it is logged. Nil: a warning to Logger, for each origin at most one a minute per
	// stack, and 20 a minute in all; the others are counted.
	OnLeak func(Leak)
	// RedactURL returns a URL as it shall appear in logs, reports and errors; if it panics, scheme and host appear. Nil: scheme, host and
	// path, never user info, query or fragment. Origins, in Stats and elsewhere, are scheme and host in any case.
	RedactURL func(*url.URL) string
	// RecordStacks keeps the stack of every RoundTrip that returns a body that is still coming. Without it, stacks are kept for an
	// origin after its first leak.
	RecordStacks bool
	// Logger receives the lines that Logging in the package documentation lists, from goroutines of their own; a panic in its handler loses
	// the line, and nothing else. Nil: slog.Default().
	Logger *slog.Logger

	start    sync.Once
	startErr error
	core     atomic.Pointer[core]
	cleanup  runtime.Cleanup // of a Transport that is dropped

	closes    atomic.Pointer[closeObservers]
	installed *installation // nil: nowhere; set before the first use

	alternates atomic.Pointer[map[string]http.RoundTripper]
	altMu      sync.Mutex // serialises RegisterProtocol
}

var _ http.RoundTripper = (*Transport)(nil)

// New returns a Transport with the settings of [http.DefaultTransport]: proxies from the environment, 100 idle
// connections, 90 s of idleness, 10 s for a TLS handshake, 1 s for "100 Continue", HTTP/2 attempted.
func New() *Transport {
	return &Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           defaultDialer.DialContext,
		ForceAttemptHTTP2:     true,
		MaxIdleConns:          100,
		IdleConnTimeout:       90 * time.Second,
		TLSHandshakeTimeout:   10 * time.Second,
		ExpectContinueTimeout: time.Second,
	}
}

// RoundTrip sends req and returns its response. It follows no redirects and handles no cookies, as [http.RoundTripper] says.
// The caller should close the response's body; if it does not, the connection is taken back. req is not modified,
// and its body is closed on every path. After Close the error is [ErrClosed].
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	// The cleanup of a dropped Transport must not run under a request in progress.
	defer runtime.KeepAlive(t)
	if leakhook.Attach.Load() != nil {
		return t.recorded(req)
	}
	return t.roundTrip(req)
}

func (t *Transport) roundTrip(req *http.Request) (*http.Response, error) {
	if err := checkShape(req); err != nil {
		return nil, refuse(req, err)
	}
	body := newRequestBody(req)
	if alt := t.alternate(req); alt != nil {
		resp, err := tryAlternate(alt, req, body)
		if err != http.ErrSkipAltProtocol {
			return resp, err
		}
		if body, err = body.rewind(req); err != nil {
			return nil, err
		}
	}
	c, err := t.running()
	if err == nil {
		err = checkTarget(req)
	}
	if err != nil {
		body.close()
		return nil, err
	}
	if body, err = body.renew(req); err != nil {
		return nil, err
	}
	return c.roundTrip(req, body)
}

// running returns the core, which the first use makes.
func (t *Transport) running() (*core, error) {
	t.start.Do(func() {
		settings := t.Clone()
		if t.startErr = settings.Validate(); t.startErr != nil {
			return
		}
		var c *core
		if c, t.startErr = newCore(settings); t.startErr != nil {
			return
		}
		c.closes = t.closeObservers()
		c.attach(t)
		if !c.bubble {
			t.cleanup = runtime.AddCleanup(t, (*core).abandon, c)
		}
		t.core.Store(c)
	})
	return t.core.Load(), t.startErr
}

// CloseIdleConnections closes the connections that are idle now and waits until they are closed. Those in use go on, and are
// closed when they become idle, until another request begins, as with [http.Transport]. It also calls CloseIdleConnections of each
// RoundTripper that RegisterProtocol has registered, if it has this method.
func (t *Transport) CloseIdleConnections() {
	if c := t.core.Load(); c != nil {
		c.pool.CloseIdle()
	}
	if alts := t.alternates.Load(); alts != nil {
		for _, rt := range *alts {
			if ci, ok := rt.(interface{ CloseIdleConnections() }); ok {
				ci.CloseIdleConnections()
			}
		}
	}
}

// Close closes the idle connections, ends dials and waiting requests with [ErrClosed], and refuses new requests.
// Exchanges in progress and open bodies run on; their connections are closed as they end. Close waits for the dials
// that it ends and for the connections that it closes, so a dialer must not call it. It may be called more than once
// and concurrently; it always returns nil.
func (t *Transport) Close() error {
	if c, _ := t.running(); c != nil {
		t.cleanup.Stop() // which keeps what the fields refer to: for ever, if that refers to the Transport
		defer c.closed()
		return c.close()
	}
	return nil
}

// Shutdown refuses new requests with [ErrClosed], closes the idle connections, and waits until the exchanges in
// progress and the open bodies have ended. If ctx ends first, it returns the context's cause, and what was left runs on as after Close. It
// neither waits for upgrades and tunnels, whose connections belong to their callers, nor ends them. It may be called more than once and
// concurrently.
func (t *Transport) Shutdown(ctx context.Context) error {
	if c, _ := t.running(); c != nil {
		t.cleanup.Stop()
		defer c.closed()
		c.salvor.close()
		return c.pool.Shutdown(ctx)
	}
	return nil
}

// CancelRequest cancels a request in progress, whether it waits for a connection or for the response, or its body is
// being read. It does nothing for a request that is unknown, finished or nil.
//
// Deprecated: use a context. CancelRequest cannot cancel HTTP/2 requests.
func (t *Transport) CancelRequest(req *http.Request) {
	if c := t.core.Load(); c != nil && req != nil {
		c.cancelRequest(req)
	}
}
