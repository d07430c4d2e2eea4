package transport

import (
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/watertight-go/watertight/internal/http1"
	"github.com/watertight-go/watertight/internal/leakhook"
	"github.com/watertight-go/watertight/pool"
	"github.com/watertight-go/watertight/reaper"
)

// A core is what works behind a Transport. Connections, bodies, timers and goroutines refer to the core and never
// to the Transport, so that a Transport that its users dropped is unreachable and its cleanup runs.
type core struct {
	settings *Transport // a copy; nothing but its settings is used
	bubble   bool       // first used in a bubble of testing/synctest
	tls      tlsConfigs
	http1    http1.Options
	dialect  dialect
	http2    *http2Engine // nil where it is not spoken
	mayShare bool         // a protocol that many requests share may be negotiated
	spoken   spokenLog
	reaper   reaper.Reaper
	pool     *pool.Pool[route, conn]
	ledger   ledger
	bodies   register
	absorbed absorption
	began    time.Time
	watchman watchman
	rescuer  rescuer
	salvor   salvor
	tunnels  tunnelList
	lives    lives
	wall     func() int64 // the clock on the wall, in nanoseconds
	cancels  cancelLog
	closes   *closeObservers                   // of the Transport, which may have some before it has a core
	attached sync.Once                         // to the recorder
	recorder atomic.Pointer[leakhook.Recorder] // nil where nobody is to be told what happens

	mu      sync.Mutex                    // guards the fields below
	waiting map[*http.Request]func(error) // requests that have no connection of the pool, and what cancels them
}

func newCore(settings *Transport) (*core, error) {
	bubble := inBubble()
	c := &core{
		settings: settings,
		bubble:   bubble,
		began:    time.Now(),
		wall:     wallClock,
		bodies: register{
			onLeak:       settings.OnLeak,
			redactURL:    settings.RedactURL,
			recordStacks: settings.RecordStacks,
			logger:       settings.Logger,
			bubble:       bubble,
		},
		waiting: map[*http.Request]func(error){},
	}
	c.ledger.core = c
	c.bodies.ledger = &c.ledger
	c.watchman.after, c.watchman.take = settings.leakTimeout()
	c.dialect = settings.dialect()
	if c.dialect.http2 || c.dialect.cleartext {
		engine, err := newHTTP2Engine(settings)
		if err != nil {
			return nil, err
		}
		c.http2 = engine
	}
	c.mayShare = c.dialect.http2 || len(settings.TLSNextProto) > 0
	c.tls.base = c.clientTLS()
	c.http1 = http1.Options{
		MaxHeadBytes:          settings.MaxResponseHeaderBytes,
		ResponseHeaderTimeout: settings.ResponseHeaderTimeout,
		ExpectContinueTimeout: settings.ExpectContinueTimeout,
	}
	c.http1.Buffers.Size = max(settings.ReadBufferSize, settings.WriteBufferSize)
	var admit func(conn, int) bool // nil where all connections serve one request at a time
	var shared func(route) bool
	if c.mayShare || c.dialect.cleartext {
		admit, shared = conn.admits, c.shared
	}
	c.pool = &pool.Pool[route, conn]{
		Admit:          admit,
		Shared:         shared,
		Dial:           c.dial,
		DialTimeout:    dialTimeout,
		OnOpen:         c.opened,
		OnWait:         c.queued,
		OneShared:      settings.waitsForStreams(),
		SingleUse:      settings.DisableKeepAlives,
		WaitTimeout:    settings.AcquireTimeout,
		MaxConnsPerKey: max(settings.MaxConnsPerHost, 0),
		MaxIdle:        max(settings.MaxIdleConns, 0),
		MaxIdlePerKey:  settings.maxIdlePerHost(),
		IdleTimeout:    settings.idleTimeout(),
		MaxLifetime:    settings.MaxConnLifetime,
		OnClose:        c.closing,
	}
	return c, nil
}

// abandon ends the core of a Transport that was dropped without Close. Open bodies run on.
func (c *core) abandon() {
	if !c.salvor.closed.Load() { // or it was closed, and who did that waits
		go func() { _ = c.close() }()
	}
}

// close ends the pool's use. Open bodies run on.
func (c *core) close() error {
	c.salvor.close()
	return c.pool.Close()
}

// opened is told of each new connection before anybody leases it: a peer that hangs up from now on is noticed.
func (c *core) opened(cn conn) { cn.watch() }

// closing is told of each connection that is about to be closed, so old.
func (c *core) closing(cn conn, why pool.Reason, age time.Duration) {
	if hc, ok := cn.(*http1Conn); ok {
		hc.keepEnd()
	}
	if own := cn.parting(); own != "" {
		why = own
	}
	peerFirst := why == ReasonPeerClosed || why == ReasonPeerReset || hasLeft(cn) // only the reason knows, where there is no socket
	c.ledger.closed(cn.books(), why, peerFirst, age)
	c.closes.tell(cn, why, peerFirst, age)
}

// queued is told of each request that waits because MaxConnsPerHost is reached.
func (c *core) queued(r route) {
	c.ledger.change(r, func(t *tally) { t.waits++ })
	c.starving()
}

func (t *Transport) maxIdlePerHost() int {
	if t.DisableKeepAlives || t.MaxIdleConns < 0 {
		return -1
	}
	return t.MaxIdleConnsPerHost
}

func (t *Transport) idleTimeout() time.Duration {
	if t.IdleConnTimeout == 0 && t.MaxIdleConns == 0 && t.MaxIdleConnsPerHost == 0 {
		return defaultIdleTimeout
	}
	return max(t.IdleConnTimeout, 0)
}

// defaultUnackedTimeout lets a peer whose window is full, or a network that is away, come back.
const defaultUnackedTimeout = 5 * time.Minute

func (t *Transport) unackedTimeout() time.Duration {
	if t.UnackedTimeout == 0 {
		return defaultUnackedTimeout
	}
	return max(t.UnackedTimeout, 0)
}

// defaultIdleTimeout is for the zero value, in which nothing else bounds idle connections. It is that of
// http.DefaultTransport.
const defaultIdleTimeout = 90 * time.Second
