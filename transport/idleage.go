package transport

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/watertight-go/watertight/pool"
)

// A server that closes idle connections after some time may do so at the moment at which we send a request, and nobody can tell
// whether it saw it. A request that cannot be repeated therefore stays off a connection whose end is near: by what the server
// said of it (Keep-Alive: timeout=, RFC 2068 section 19.7.1.1), or by the age at which the route's connections ended before.
// Requests that can be repeated use it.

// endMargin is how long before its expected end a connection is avoided: an eighth of its life, within bounds.
func endMargin(life time.Duration) time.Duration {
	return min(max(life/8, 50*time.Millisecond), 2*time.Second)
}

// leastLife and mostLife bound what is learned: connections that end sooner do so for another reason, and of those that seem to have
// lived longer it is likelier that the clock was set.
const (
	leastLife = 500 * time.Millisecond
	mostLife  = time.Hour
)

// maxLives bounds what is learned of routes.
const maxLives = 1000

// believedFor is for how many lives what was seen of one is believed. Who sends requests at regular times may never leave a connection idle for
// so long that it disproves what was learned, as each is closed before: it would dial for each request, for ever.
const believedFor = 10

// A lives knows at which age idle connections end, by route.
type lives struct {
	mu sync.Mutex
	m  map[route]life
}

// A life is the age at which idle connections end, and when that was last seen, by the core's clock.
type life struct{ age, seen time.Duration }

// learn notes that a server hung up on a connection that had been idle for so long. What many agree on counts: a server that
// restarts ends connections of all ages, and is forgotten soon.
func (l *lives) learn(r route, idle, now time.Duration) {
	if idle < leastLife || idle > mostLife {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.m == nil || len(l.m) >= maxLives {
		l.m = map[route]life{}
	}
	if old, ok := l.m[r]; ok && idle < old.age {
		idle = old.age - (old.age-idle)/4
	}
	l.m[r] = life{age: idle, seen: now}
}

// near reports whether a connection that has been idle for so long, or perhaps longer, is near its end. What was learned is forgotten where
// the connection has outlived it, or nobody has seen it for long: one that the server ended as it restarted may have been all there was
// to learn from.
func (l *lives) near(r route, idle, perhaps, now time.Duration) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	known, ok := l.m[r]
	margin := endMargin(known.age)
	switch {
	case !ok || perhaps < known.age-margin:
		return false
	case idle > known.age+margin || now-known.seen > believedFor*known.age:
		delete(l.m, r)
		return false
	}
	return true
}

// nearItsEnd reports whether the server may be hanging up right now.
func (hc *http1Conn) nearItsEnd(l pool.Lease[route, conn]) bool {
	idle := max(l.IdleTime(), hc.account.core.idleFor(hc.idleSince.Load())) // the pool's clock stands still while the machine is suspended
	if idle < leastLife/2 {
		return false // at once, for whoever sends requests one after the other
	}
	if hinted := time.Duration(hc.promised) * time.Second; hinted > 0 && idle >= hinted-endMargin(hinted) {
		return true
	}
	return hc.account.core.lives.near(l.Key(), l.IdleTime(), idle, hc.account.core.clock())
}

// keepAliveTimeout is for how many seconds the server says it keeps an idle connection, 0 if it says nothing.
func keepAliveTimeout(h http.Header) int32 {
	for _, field := range h["Keep-Alive"] {
		for param := range strings.SplitSeq(field, ",") {
			name, value, _ := strings.Cut(strings.TrimSpace(param), "=")
			if !strings.EqualFold(name, "timeout") {
				continue
			}
			if n, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31); err == nil {
				return int32(n)
			}
		}
	}
	return 0
}

// idleFor returns for how long a connection has been idle by the clock on the wall, 0 if since says that it is not. Timers and the monotonic clock
// stand still while a machine is suspended, and the server, which was not, has long forgotten us. It is negative where the clock was set
// back.
func (c *core) idleFor(since int64) time.Duration {
	if since == 0 {
		return 0
	}
	return time.Duration(c.wall() - since)
}

// outlived reports whether a connection was idle for longer than IdleConnTimeout.
func (c *core) outlived(since int64) bool {
	limit := c.settings.idleTimeout()
	return limit > 0 && c.idleFor(since) > limit
}

// idleEnded learns from the end of an idle connection, but not where it seems to have been idle for longer than IdleConnTimeout: then the
// machine was suspended, or the clock set.
func (hc *http1Conn) idleEnded() {
	if since := hc.idleSince.Load(); !hc.account.core.outlived(since) {
		hc.account.core.lives.learn(hc.account.route, hc.account.core.idleFor(since), hc.account.core.clock())
	}
}

func wallClock() int64 { return time.Now().UnixNano() }
