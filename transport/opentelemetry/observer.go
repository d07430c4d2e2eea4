package opentelemetry

import (
	"context"
	"errors"
	"strings"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/semconv/v1.43.0/httpconv"

	"github.com/watertight-go/watertight/transport"
)

// An Observer observes one Transport. Several Transports have an Observer each, with different Names.
//
// Register reads the fields once. Until Unregister, the Transport is not collected.
type Observer struct {
	// Transport is the one to look at; it may be in use, unused or closed. With package auto it is auto.Transport. It must not be nil.
	Transport *transport.Transport
	// Name is the value of the attribute watertight.transport; "": there is no such attribute.
	Name string
	// MeterProvider makes the instruments; nil: otel.GetMeterProvider() as it is at Register.
	MeterProvider metric.MeterProvider
	// MaxOrigins is how many origins are told apart; those that come later are counted together.
	// 0: 100; negative: there are no counts by origin.
	MaxOrigins int
}

// The states of a connection, as the conventions call them.
var (
	active = attribute.String("http.connection.state", string(httpconv.ConnectionStateActive))
	idle   = attribute.String("http.connection.state", string(httpconv.ConnectionStateIdle))
)

// scope is the name of the instrumentation scope: this package.
const scope = "github.com/watertight-go/watertight/transport/opentelemetry"

// Register makes the instruments and observes them from now on, until the registration's Unregister. It fails if
// Transport is nil or the MeterProvider refuses an instrument. A second Register before Unregister counts everything twice.
// Unregister may be called more than once.
func (o *Observer) Register() (metric.Registration, error) {
	if o.Transport == nil {
		return nil, errors.New("transport/opentelemetry: Observer.Transport is nil")
	}
	provider := o.MeterProvider
	if provider == nil {
		provider = otel.GetMeterProvider()
	}
	meter := provider.Meter(scope)
	of, err := instrumentsOf(meter)
	if err != nil {
		return nil, err
	}
	begun := &observation{Observer: *o, of: of, origins: origins{limit: o.MaxOrigins}}
	callback, err := meter.RegisterCallback(begun.observe, of.all...)
	if err != nil {
		return nil, err
	}
	return &registration{Registration: callback, stop: o.Transport.ObserveCloses(begun.record)}, nil
}

// A registration is that of what is observed, and of what is recorded.
type registration struct {
	metric.Registration
	stop func()
}

// Unregister may be called more than once.
func (r *registration) Unregister() error {
	r.stop()
	return r.Registration.Unregister()
}

// An observation is what one Register began.
type observation struct {
	Observer
	of      instruments
	origins origins
}

// record notes how old a connection became.
func (o *observation) record(c transport.ClosedConnection) {
	var attributes []attribute.KeyValue
	if o.origins.limit >= 0 {
		attributes = o.origins.place(c.Origin).attributes()
	}
	if version, ok := strings.CutPrefix(c.Protocol, "HTTP/"); ok {
		attributes = append(attributes, o.of.durations.AttrNetworkProtocolVersion(strings.TrimSuffix(version, ".0")))
	}
	if o.Name != "" {
		attributes = append(attributes, attribute.String("watertight.transport", o.Name))
	}
	// The request whose context it would be is over, or was never.
	o.of.durations.RecordSet(context.Background(), c.Age.Seconds(), attribute.NewSet(attributes...))
}

// observe tells what the Transport's Stats say now.
func (o *observation) observe(_ context.Context, to metric.Observer) error {
	s := o.Transport.Stats()
	tell := func(i metric.Int64Observable, n int64, attributes ...attribute.KeyValue) {
		if o.Name != "" {
			attributes = append(attributes, attribute.String("watertight.transport", o.Name))
		}
		to.ObserveInt64(i, n, metric.WithAttributes(attributes...))
	}
	if o.origins.limit < 0 {
		tell(o.of.connections, int64(s.Leased+s.Upgraded), active)
		tell(o.of.connections, int64(s.Idle), idle)
	} else {
		for server, c := range o.origins.bounded(s.Origins) {
			tell(o.of.connections, int64(c.Leased+c.Upgraded), append(server.attributes(), active)...)
			tell(o.of.connections, int64(c.Idle), append(server.attributes(), idle)...)
		}
	}
	tell(o.of.dialing, int64(s.Dialing))
	tell(o.of.waiting, int64(s.Waiting))
	tell(o.of.bodies, int64(s.Bodies))

	tell(o.of.requests, s.Requests)
	tell(o.of.reuses, s.Reuses)
	tell(o.of.retries, s.Retries)
	tell(o.of.waits, s.Waits)
	tell(o.of.waitTimeouts, s.WaitTimeouts)
	tell(o.of.dials, s.Dials)
	tell(o.of.dialErrors, s.DialErrors)
	for reason, n := range withZeros(s.Closes, reasons()) {
		tell(o.of.closed, n, attribute.String("watertight.close.reason", string(reason)))
	}
	tell(o.of.peerFirst, s.PeerFirst)
	for cause, n := range withZeros(s.Leaks, causes()) {
		tell(o.of.leaked, n, attribute.String("watertight.leak.cause", string(cause)))
	}
	tell(o.of.drained, s.Drained)
	tell(o.of.salvaged, s.Salvaged)
	tell(o.of.absorbed, s.Absorbed)
	tell(o.of.unabsorbed, s.Exceeded)
	return nil
}
