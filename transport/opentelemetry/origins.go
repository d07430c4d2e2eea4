package opentelemetry

import (
	"cmp"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"go.opentelemetry.io/otel/attribute"

	"github.com/watertight-go/watertight/transport"
)

// defaultMaxOrigins is more than most programs talk to, and well below the 2,000 series that SDKs allow an instrument.
const defaultMaxOrigins = 100

// A server is who connections are with, by the names of the conventions.
type server struct {
	scheme, address string
	port            int
}

// otherServers stands for those beyond the limit.
var otherServers = server{}

// serverOf returns the server of an origin as Stats name it: "https://host:port", or "http through" the URL of a proxy.
func serverOf(origin string) server {
	if _, proxy, through := strings.Cut(origin, " through "); through {
		origin = proxy
	}
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" {
		return server{address: strings.ToValidUTF8(origin, "\uFFFD")} // no URL has such a host, and somebody asked for it all the same
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		port = map[string]int{"http": 80, "https": 443}[u.Scheme]
	}
	return server{u.Scheme, strings.ToValidUTF8(u.Hostname(), "\uFFFD"), port}
}

func (s server) attributes() []attribute.KeyValue {
	if s == otherServers {
		return []attribute.KeyValue{attribute.Bool("otel.metric.overflow", true)}
	}
	return []attribute.KeyValue{
		attribute.String("server.address", s.address),
		attribute.Int("server.port", s.port),
		attribute.String("url.scheme", s.scheme),
	}
}

// origins bounds how many origins are told apart. Who came first keeps its place: were it freed, each newcomer would begin a series,
// and their number would be bounded at a time, but not over a day.
type origins struct {
	limit int // 0: defaultMaxOrigins; negative: none

	mu    sync.Mutex          // guards the field below
	known map[server]struct{} // those that are told apart, and otherServers once there were more
}

// bounded returns the counts of the known servers, 0 for those without a connection, and of all others together.
func (o *origins) bounded(now map[string]transport.Counts) map[server]transport.Counts {
	limit := cmp.Or(o.limit, defaultMaxOrigins)
	counts := make(map[server]transport.Counts, len(now))
	o.mu.Lock()
	defer o.mu.Unlock()
	for s := range o.known {
		counts[s] = transport.Counts{}
	}
	for _, origin := range slices.Sorted(maps.Keys(now)) {
		s := o.placeLocked(serverOf(origin), limit)
		sum, add := counts[s], now[origin]
		sum.Idle += add.Idle
		sum.Leased += add.Leased
		sum.Upgraded += add.Upgraded
		counts[s] = sum
	}
	return counts
}

// place returns the server that a connection to an origin is counted with.
func (o *origins) place(origin string) server {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.placeLocked(serverOf(origin), cmp.Or(o.limit, defaultMaxOrigins))
}

// placeLocked returns the server that another is counted as.
func (o *origins) placeLocked(s server, limit int) server {
	if _, ok := o.known[s]; ok {
		return s
	}
	if len(o.known) >= limit {
		s = otherServers
	}
	if o.known == nil {
		o.known = map[server]struct{}{}
	}
	o.known[s] = struct{}{}
	return s
}
