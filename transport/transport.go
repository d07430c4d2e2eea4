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
// identifier compiles. Two differ on purpose where they are 0: MaxIdleConnsPerHost and IdleConnTimeout. Where a field says
// nothing of negative numbers, they count as 0. The zero value is ready to use; [New] gives the settings of
// [http.DefaultTransport].
//
// Fields must not be changed after the first request: it takes a copy of the settings, and later changes are not
// seen. A Transport is safe for concurrent use and must not be copied; use [Transport.Clone].
//
// A Transport that is dropped without Close is collected with its idle connections. That needs it to be unreachable:
// one whose own callback (OnLeak, DialContext, ...) refers to it stays, and wants a Close.
//
// One that is first used in a bubble of testing/synctest, where the collector may not touch anything, is not collected and wants a
// Close; bodies that are dropped there are found by LeakTimeout alone. So it is with a [Guard].
type Transport struct {
	// Proxy returns the proxy for a request, nil for none. An error ends the request. Schemes are "http", "https",
	// "socks5" and "socks5h"; none, and any other, counts as "http". User info in the URL becomes Proxy-Authorization.
	Proxy func(*http.Request) (*url.URL, error)
	// OnProxyConnectResponse is called with a proxy's answer to CONNECT; its error fails the dial.
	OnProxyConnectResponse func(ctx context.Context, proxyURL *url.URL, connectReq *http.Request, connectRes *http.Response) error
	// DialContext opens TCP connections; nil: a net.Dialer with a 30 s timeout. It runs in a goroutine of its own and
	// may outlive the request that asked: ctx has the request's values, not its cancellation.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)
	// Dial opens TCP connections where DialContext is nil.
	//
	// Deprecated: use DialContext.
	Dial func(network, addr string) (net.Conn, error)
	// DialTLSContext opens connections to https origins that are reached through no proxy, and to https proxies, handshake
	// done. TLSClientConfig and TLSHandshakeTimeout do not apply to it. For HTTP/2 what it returns is a tls.Conn, or has the same
	// ConnectionState method; a HandshakeContext method is called. Nil: DialContext and TLSClientConfig.
	DialTLSContext func(ctx context.Context, network, addr string) (net.Conn, error)
	// DialTLS is DialTLSContext without a context; it is used where that is nil.
	//
	// Deprecated: use DialTLSContext.
	DialTLS func(network, addr string) (net.Conn, error)
	// TLSClientConfig is the configuration of TLS connections; nil: the defaults. It is cloned.
	TLSClientConfig *tls.Config
	// TLSHandshakeTimeout bounds a TLS handshake; 0: no bound of its own.
	TLSHandshakeTimeout time.Duration
	// DisableKeepAlives uses every connection for one request, for which it was dialed. It is not about TCP keep-alive.
	DisableKeepAlives bool
	// DisableCompression stops requests without an Accept-Encoding from asking for gzip and from decoding it.
	DisableCompression bool
	// MaxIdleConns bounds the idle connections over all hosts; the least recently used one is closed. 0: no bound.
	// Negative: no connection is kept.
	MaxIdleConns int
	// MaxIdleConnsPerHost bounds the idle connections per host. 0 means no bound, where http.Transport means 2: a
	// bound below the number of requests at once closes and dials all the time. Negative: no connection is kept.
	MaxIdleConnsPerHost int
	// MaxConnsPerHost bounds the connections per host, dialing, in use and idle together; requests beyond it wait. A connection
	// that an upgrade or a CONNECT made its caller's does not count, nor does one of HTTP/2 whose streams go on but that takes no
	// more requests. 0: no bound.
	MaxConnsPerHost int
	// IdleConnTimeout is how long a connection stays idle before it is closed. 0: for ever, except that it is 90 s
	// where MaxIdleConns and MaxIdleConnsPerHost are 0 too, as nothing else would bound them. Negative: for ever.
	IdleConnTimeout time.Duration
	// ResponseHeaderTimeout bounds the wait for a response's head after the request is written, body included. 0: no
	// bound.
	ResponseHeaderTimeout time.Duration
	// ExpectContinueTimeout is how long a request with "Expect: 100-continue" waits for the server's "100 Continue" until it sends
	// its body. 0: the body is sent at once.
	ExpectContinueTimeout time.Duration
	// TLSNextProto has functions by the protocol that a TLS handshake negotiated. The function is called once for each such
	// connection, and returns the RoundTripper that serves all requests on it, any number at once. If the map is not nil, HTTP/2 is
	// not on by default, only by Protocols; a function for "h2" takes the place of our own HTTP/2.
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
	// them, and at least 8 KiB. Over HTTP/1.1 it also bounds the trailer section of a response.
	WriteBufferSize int
	ReadBufferSize  int
	// ForceAttemptHTTP2 allows HTTP/2 where a custom dialer or TLSClientConfig would switch it off.
	ForceAttemptHTTP2 bool
	// HTTP2 configures HTTP/2 connections; nil: the defaults. SendPingTimeout 0 is 30 s, and 5 minutes after a ping
	// that was answered, see HTTP/2 in the package documentation; negative: no pings. MaxReadFrameSize 0 is 16 KiB, with each version of Go.
	HTTP2 *http.HTTP2Config
	// Protocols is the set of protocols to use; nil: HTTP/1.1, and HTTP/2 as ForceAttemptHTTP2 and TLSNextProto say. Where none of
	// the set can be used, as HTTP/2 over TLS alone without TLS, it is HTTP/1.1 all the same, as with http.Transport.
	Protocols *http.Protocols

	// AcquireTimeout bounds the wait for a connection under MaxConnsPerHost, and for a stream under
	// HTTP2.StrictMaxConcurrentRequests. 0: the request's context alone does.
	AcquireTimeout time.Duration
	// RetryOnNewConns has a request sent once more if its connection had just been opened and ended in its TLS handshake, or before any
	// byte of a response, as happens to connections that a server's process had accepted when it was killed. Otherwise the rules are those
	// for a connection that had served before, see One request in the package documentation. False: the request fails, as with
	// http.Transport, and one that crashes its server is not sent to the next server.
	RetryOnNewConns bool
	// MaxConnLifetime is how old a connection may become before it is replaced, spread by jitter so that a fleet does
	// not redial at once. 0: no bound.
	MaxConnLifetime time.Duration
	// MaxDrainBytes is how much of an unread body Close reads to keep the connection. 0: 256 KiB; negative: nothing.
	MaxDrainBytes int64
	// DrainTimeout bounds that reading, which goes on in the background. Over HTTP/2 nothing is read: there Close resets the stream,
	// and waits at most so long for that to be written. 0 or negative: 50 ms.
	DrainTimeout time.Duration
	// UnackedTimeout is how long a server may leave what we sent unacknowledged, or not take it, before its connection is given
	// up: Linux's TCP_USER_TIMEOUT (RFC 5482). It applies to the connections of the net package's own, also beneath TLS. On other systems
	// retransmission limits and TCP keep-alive find dead servers. 0: 5 minutes; negative: the system's default.
	UnackedTimeout time.Duration
	// SalvageTimeout is how long the connection of a cancelled or timed out request may wait for its response, which is read to
	// its end, MaxDrainBytes at most, and thrown away: so that the connection can be kept instead of closed. It counts
	// for MaxConnsPerHost meanwhile. At most 256 connections per host wait so; those of a dialer that returns none of the net
	// package's own are closed instead. 0 or negative: none.
	SalvageTimeout time.Duration
	// LeakTimeout is how long an open body may have no Read in progress: then it counts as forgotten. Its connection is taken
	// back, and a later Read returns a *ReclaimedError. The time that a program spends between two Reads, in a Write to a slow client for
	// example, counts as well, but not within WriteTo, which io.Copy uses, nor while the request's body is still being read from. 0: a
	// forgotten body is reported after 5 minutes, and taken back when its connection is needed by a request that waits under
	// MaxConnsPerHost, or by a dial that is short of descriptors. Negative: neither. The body of an upgrade or a CONNECT is never forgotten.
	LeakTimeout time.Duration
	// MaxAbsorbBytes is how much of an open body is taken into memory when its server has hung up, so that the socket can
	// be closed without waiting for the reader; at most 64 MiB over all bodies. 0: 1 MiB; negative: nothing. On Windows, and of a
	// caller's own kind of connection, there is nothing that tells of the hang-up before a Read, and so nothing is taken.
	MaxAbsorbBytes int64
	// OnLeak is called once for each response body that leaked, after its connection was taken back, if it is, from a
	// goroutine of its own and with no lock held; a panic in it is logged. Nil: a warning to Logger, of
	// an origin at most one a minute per stack, and 20 in all; the others are counted.
	OnLeak func(Leak)
	// RedactURL returns a URL as it is to appear in logs, reports and errors; if it panics, scheme and host appear. Nil: scheme, host and
	// path; never user info, query or fragment. Origins, in Stats and elsewhere, are scheme and host whatever it says.
	RedactURL func(*url.URL) string
	// RecordStacks keeps the stack of every RoundTrip whose body is handed out. Without it stacks are kept for an
	// origin after its first leak.
	RecordStacks bool
	// Logger receives the lines that Logging in the package documentation lists; nil: slog.Default().
	Logger *slog.Logger

	start    sync.Once
	startErr error
	core     atomic.Pointer[core]

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

// RoundTrip sends req and returns its response, following neither redirects nor cookies, as [http.RoundTripper] says.
// The caller should close the response's body; where it does not, the connection is taken back. req is not modified,
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
			runtime.AddCleanup(t, (*core).abandon, c)
		}
		t.core.Store(c)
	})
	return t.core.Load(), t.startErr
}

// CloseIdleConnections closes the connections that are idle now and waits until they are closed. Those in use go on, and are
// closed as they become idle, until another request begins: as with [http.Transport]. Those that RegisterProtocol has registered are called
// as well, if they have this method.
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
		defer c.closed()
		return c.close()
	}
	return nil
}

// Shutdown refuses new requests with [ErrClosed], closes the idle connections, and waits until the exchanges in
// progress and the open bodies have ended, or until ctx ends; then it returns the context's cause, and what was left
// runs on as after Close. It waits neither for upgrades and tunnels, whose connections are their callers', nor ends them. It may be called
// more than once and concurrently.
func (t *Transport) Shutdown(ctx context.Context) error {
	if c, _ := t.running(); c != nil {
		defer c.closed()
		c.salvor.close()
		return c.pool.Shutdown(ctx)
	}
	return nil
}

// CancelRequest cancels a request in progress, whether it waits for a connection, for the response or its body is
// being read. A request that is unknown, finished or nil is left alone.
//
// Deprecated: use a context. CancelRequest cannot cancel HTTP/2 requests.
func (t *Transport) CancelRequest(req *http.Request) {
	if c := t.core.Load(); c != nil && req != nil {
		c.cancelRequest(req)
	}
}
