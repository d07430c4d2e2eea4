package prometheus

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/watertight-go/watertight/transport"
)

const (
	// defaultMaxOrigins is more than most programs talk to, and with 4 series each still little to Prometheus.
	defaultMaxOrigins = 100

	// otherOrigins stands for the origins beyond the limit. No origin is called so: they begin with a scheme.
	otherOrigins = "other"
)

// origins bounds how many origins have series of their own. Who came first keeps its place: were it freed, each newcomer would begin
// a series, and their number would be bounded at a time, but not over a day.
type origins struct {
	limit int // 0: defaultMaxOrigins; negative: none

	mu    sync.Mutex          // guards the field below
	known map[string]struct{} // those with series of their own, and otherOrigins once there were more
}

// bounded returns the counts of the known origins, 0 for those without a connection, and of all others together.
func (o *origins) bounded(now map[string]transport.Counts) map[string]transport.Counts {
	if o.limit < 0 {
		return nil
	}
	limit := cmp.Or(o.limit, defaultMaxOrigins)
	counts := make(map[string]transport.Counts, len(now))
	o.mu.Lock()
	defer o.mu.Unlock()
	for name := range o.known {
		counts[name] = transport.Counts{}
	}
	for _, origin := range slices.Sorted(maps.Keys(now)) {
		name := o.nameLocked(strings.ToValidUTF8(origin, "\uFFFD"), limit)
		sum, add := counts[name], now[origin]
		sum.Idle += add.Idle
		sum.Leased += add.Leased
		sum.Dialing += add.Dialing
		sum.Waiting += add.Waiting
		counts[name] = sum
	}
	return counts
}

// nameLocked returns the name under which an origin is counted.
func (o *origins) nameLocked(origin string, limit int) string {
	if _, ok := o.known[origin]; ok {
		return origin
	}
	if len(o.known) >= limit {
		origin = otherOrigins
	}
	if o.known == nil {
		o.known = map[string]struct{}{}
	}
	o.known[origin] = struct{}{}
	return origin
}
