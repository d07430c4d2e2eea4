package prometheus

import (
	"errors"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/watertight-go/watertight/transport"
)

// A Collector is a [prometheus.Collector] of one Transport. It is registered as a pointer, once. Several Transports have
// a Collector each, with different Names; two of the same Name cannot be in one registry.
//
// Fields must not be changed after it was registered. A Collector is safe for concurrent use and must not be copied. It keeps its
// Transport from being collected: unregister it before you drop that.
type Collector struct {
	// Transport is the one to look at; it may be in use, unused or closed. With package auto it is auto.Transport. If it is nil, the
	// Collector cannot be registered.
	Transport *transport.Transport
	// Name is the value of the label "transport". To Prometheus an empty label is none.
	Name string
	// MaxOrigins is how many origins have series of their own; those that come later are counted together as "other".
	// 0: 100; negative: there are no series by origin.
	MaxOrigins int

	once    sync.Once
	of      descs
	origins origins
}

var _ prometheus.Collector = (*Collector)(nil)

var errNoTransport = errors.New("transport/prometheus: Collector.Transport is nil")

// Describe sends the metrics' descriptions. Registries call it.
func (c *Collector) Describe(ch chan<- *prometheus.Desc) {
	if c.Transport == nil {
		ch <- prometheus.NewInvalidDesc(errNoTransport)
		return
	}
	c.init()
	for _, d := range c.of.all {
		ch <- d
	}
}

// Collect sends the metrics as they are now. Registries call it, once a scrape.
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	if c.Transport == nil {
		ch <- prometheus.NewInvalidMetric(prometheus.NewInvalidDesc(errNoTransport), errNoTransport)
		return
	}
	c.init()
	s := c.Transport.Stats()

	gauges := output{ch, prometheus.GaugeValue}
	gauges.send(c.of.connections, int64(s.Idle), "idle")
	gauges.send(c.of.connections, int64(s.Leased), "leased")
	gauges.send(c.of.connections, int64(s.Upgraded), "upgraded")
	gauges.send(c.of.dialing, int64(s.Dialing))
	gauges.send(c.of.waiting, int64(s.Waiting))
	gauges.send(c.of.bodies, int64(s.Bodies))
	for name, o := range c.origins.bounded(s.Origins) {
		gauges.send(c.of.originConnections, int64(o.Idle), name, "idle")
		gauges.send(c.of.originConnections, int64(o.Leased), name, "leased")
		gauges.send(c.of.originDialing, int64(o.Dialing), name)
		gauges.send(c.of.originWaiting, int64(o.Waiting), name)
	}

	counters := output{ch, prometheus.CounterValue}
	counters.send(c.of.requests, s.Requests)
	counters.send(c.of.reuses, s.Reuses)
	counters.send(c.of.retries, s.Retries)
	counters.send(c.of.waits, s.Waits)
	counters.send(c.of.waitTimeouts, s.WaitTimeouts)
	counters.send(c.of.dials, s.Dials)
	counters.send(c.of.dialErrors, s.DialErrors)
	for reason, n := range withZeros(s.Closes, reasons()) {
		counters.send(c.of.closed, n, string(reason))
	}
	counters.send(c.of.peerFirst, s.PeerFirst)
	sendAges(ch, c.of.ages, s.Ages)
	for cause, n := range withZeros(s.Leaks, causes()) {
		counters.send(c.of.leaked, n, string(cause))
	}
	counters.send(c.of.drained, s.Drained)
	counters.send(c.of.salvaged, s.Salvaged)
	counters.send(c.of.absorbed, s.Absorbed)
	counters.send(c.of.unabsorbed, s.Exceeded)
}

func sendAges(ch chan<- prometheus.Metric, d *prometheus.Desc, ages transport.Ages) {
	buckets := make(map[float64]uint64, len(ages.UpTo))
	for _, up := range ages.UpTo {
		buckets[up.Age.Seconds()] = uint64(up.Count)
	}
	ch <- prometheus.MustNewConstHistogram(d, uint64(ages.Count), ages.Sum.Seconds(), buckets) // it has no labels that could be wrong
}

func (c *Collector) init() {
	c.once.Do(func() {
		c.of = describe(c.Name)
		c.origins.limit = c.MaxOrigins
	})
}

// An output sends metrics of one kind.
type output struct {
	ch   chan<- prometheus.Metric
	kind prometheus.ValueType
}

func (o output) send(d *prometheus.Desc, n int64, labels ...string) {
	m, err := prometheus.NewConstMetric(d, o.kind, float64(n), labels...)
	if err != nil {
		m = prometheus.NewInvalidMetric(d, err) // not reached: labels are as many as described, and in UTF-8
	}
	o.ch <- m
}
