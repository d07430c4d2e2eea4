package transport

import (
	"crypto/tls"
	"math"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
)

// A dialect tells which versions of HTTP a Transport speaks, as http.Transport decides it.
type dialect struct {
	http1, http2 bool // where TLS is, by its ALPN (RFC 7301)
	cleartext    bool // HTTP/2 without TLS, by prior knowledge (RFC 9113 section 3.3)
}

// dialect returns what the settings say: Protocols, or else HTTP/2 as well, unless TLSNextProto, a dialer or a TLS configuration of
// the caller's, or GODEBUG=http2client=0 turn it off. Where TLSNextProto has somebody for "h2" it is not ours to speak.
func (t *Transport) dialect() dialect {
	d := dialect{http1: true}
	switch {
	case t.Protocols != nil:
		d.http1, d.http2 = t.Protocols.HTTP1(), t.Protocols.HTTP2()
		d.cleartext = t.Protocols.UnencryptedHTTP2() && !t.Protocols.HTTP1()
	case t.TLSNextProto != nil:
	case !t.ForceAttemptHTTP2 && (t.TLSClientConfig != nil || t.Dial != nil || t.DialContext != nil || t.DialTLS != nil || t.DialTLSContext != nil):
	default:
		d.http2 = true
	}
	if turnedOff() {
		d.http2, d.cleartext = false, false
	}
	if t.TLSNextProto["h2"] != nil {
		d.http2 = false
	}
	return d
}

// turnedOff reports whether GODEBUG has http2client=0, the last of several.
func turnedOff() (off bool) {
	for setting := range strings.SplitSeq(os.Getenv("GODEBUG"), ",") {
		if value, ok := strings.CutPrefix(setting, "http2client="); ok {
			off = value == "0"
		}
	}
	return off
}

// defaultFrameSize is how much a frame of the server's may bring, unless the caller says more: what HTTP/2 begins with (RFC 9113 section
// 6.5.2). A connection keeps a buffer for its largest frame.
const defaultFrameSize = 16 << 10

// http2Config returns HTTP2 for the codec, and when we ping.
func (t *Transport) http2Config() (*http.HTTP2Config, pingPlan) {
	var own http.HTTP2Config
	if t.HTTP2 != nil {
		own = *t.HTTP2
	}
	own.StrictMaxConcurrentRequests = true // see http2Engine
	if own.MaxReadFrameSize == 0 {
		own.MaxReadFrameSize = defaultFrameSize
	}
	ping := pingPlan{after: defaultSendPing, wait: defaultPingWait}
	if own.PingTimeout > 0 {
		ping.wait = own.PingTimeout
	}
	switch {
	case own.SendPingTimeout > 0:
		ping.after, ping.always = own.SendPingTimeout, true
	case own.SendPingTimeout < 0:
		ping.after = 0
	}
	own.SendPingTimeout = 0 // the codec's pings do not tell us when they end a connection
	return &own, ping
}

// offer sets what TLS offers to speak: the caller's own protocols, and between them what we can.
func (d dialect) offer(cfg *tls.Config, theirs bool) {
	protos := slices.DeleteFunc(slices.Clone(cfg.NextProtos), func(p string) bool {
		return p == "h2" && !theirs || p == "http/1.1" && d.http2
	})
	if d.http2 {
		protos = append([]string{"h2"}, protos...)
		if d.http1 {
			protos = append(protos, "http/1.1")
		}
	}
	cfg.NextProtos = protos
}

// maxSpoken bounds what is learned of routes.
const maxSpoken = 10000

// A spokenLog knows which routes do not speak HTTP/2, or another protocol that many requests share, although they might; and of the others how
// many requests may share a connection, at once and one after the other.
type spokenLog struct {
	mu      sync.Mutex
	only    map[route]struct{}
	most    map[route]uint32 // how many streams the server allows
	budgets map[route]requestBudget
}

// sharesConns is for learn.
const sharesConns = true

// learn notes whether the connections of a route are shared.
func (l *spokenLog) learn(r route, shared bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if shared {
		delete(l.only, r)
	} else {
		l.only = learned(l.only, r, struct{}{})
	}
}

// learned returns what is known with v of r added. Where there is too much of it all else is forgotten.
func learned[V any](known map[route]V, r route, v V) map[route]V {
	if known == nil || len(known) >= maxSpoken {
		known = map[route]V{}
	}
	known[r] = v
	return known
}

// allow notes how many streams a server allows on a connection.
func (l *spokenLog) allow(r route, limit uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.most = learned(l.most, r, max(limit, 1))
}

// allowed returns how many requests a new connection may be lent to until its server has said how many streams it allows: as many as one
// before. Where nobody knows, all who wait: they find out together (see enter), instead of opening connections for which there may be no use.
func (l *spokenLog) allowed(r route) uint32 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if limit, ok := l.most[r]; ok {
		return limit
	}
	return math.MaxUint32
}

func (l *spokenLog) isAlone(r route) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ok := l.only[r]
	return ok
}

// shared reports whether simultaneous requests wait for one dial: where HTTP/2 may be spoken. Whether it is, the first connection
// tells; where it is not, each request has a dial of its own from then on.
func (c *core) shared(r route) bool {
	switch {
	case r.http1 || c.settings.DisableKeepAlives:
		return false
	case r.scheme == "http":
		return c.dialect.cleartext && !r.forwards()
	}
	return c.mayShare && !c.spoken.isAlone(r)
}

// waitsForStreams reports whether requests wait for a stream where the server allows no more, and no further connection is opened.
func (t *Transport) waitsForStreams() bool {
	return t.HTTP2 != nil && t.HTTP2.StrictMaxConcurrentRequests
}
