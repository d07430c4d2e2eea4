package opentelemetry_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/watertight-go/watertight/transport"
	"github.com/watertight-go/watertight/transport/leaktest"
	"github.com/watertight-go/watertight/transport/opentelemetry"
)

// serve starts a server that answers at once for /whole, and for others sends one byte, and the end once the test says so.
func serve(t *testing.T) (base string, end func()) {
	ended := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/whole" {
			return
		}
		_, _ = io.WriteString(w, "1")
		_ = http.NewResponseController(w).Flush()
		<-ended
	}))
	t.Cleanup(server.Close)
	return server.URL, func() { close(ended) }
}

func get(t *testing.T, tr http.RoundTripper, url string) *http.Response {
	resp, err := (&http.Client{Transport: tr}).Get(url)
	require.NoError(t, err)
	return resp
}

func readAll(t *testing.T, resp *http.Response) string {
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return string(text)
}

// A reading is what a MeterProvider collects, by the names of instruments.
type reading map[string]metricdata.Metrics

// observed registers Observers with one MeterProvider and returns a function that collects.
func observed(t *testing.T, observers ...*opentelemetry.Observer) (collect func() reading) {
	reader := sdk.NewManualReader()
	provider := sdk.NewMeterProvider(sdk.WithReader(reader))
	t.Cleanup(func() { assert.NoError(t, provider.Shutdown(t.Context())) })
	for _, o := range observers {
		o.MeterProvider = provider
		_, err := o.Register()
		require.NoError(t, err)
	}
	return func() reading { return readingOf(t, reader) }
}

// readingOf returns what there is now.
func readingOf(t *testing.T, reader *sdk.ManualReader) reading {
	var all metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &all))
	require.Len(t, all.ScopeMetrics, 1)
	assert.Equal(t, "github.com/watertight-go/watertight/transport/opentelemetry", all.ScopeMetrics[0].Scope.Name)
	r := reading{}
	for _, m := range all.ScopeMetrics[0].Metrics {
		r[m.Name] = m
	}
	return r
}

// durations returns the points of the histogram by their attributes.
func (r reading) durations(t *testing.T) map[string]metricdata.HistogramDataPoint[float64] {
	m := r["http.client.connection.duration"]
	if m.Data == nil {
		return nil
	}
	assert.Equal(t, "s", m.Unit)
	h, ok := m.Data.(metricdata.Histogram[float64])
	require.True(t, ok, "%T", m.Data)
	points := map[string]metricdata.HistogramDataPoint[float64]{}
	for _, p := range h.DataPoints {
		points[p.Attributes.Encoded(attribute.DefaultEncoder())] = p
	}
	return points
}

// points returns the values of an instrument by their attributes, and whether it is a counter.
func (r reading) points(t *testing.T, name string) (points map[string]int64, monotonic bool) {
	sum, ok := r[name].Data.(metricdata.Sum[int64])
	require.True(t, ok, "%s: %T", name, r[name].Data)
	assert.Equal(t, metricdata.CumulativeTemporality, sum.Temporality)
	points = map[string]int64{}
	for _, p := range sum.DataPoints {
		points[p.Attributes.Encoded(attribute.DefaultEncoder())] = p.Value
	}
	return points, sum.IsMonotonic
}

// want wants that an instrument has a value with these attributes.
func (r reading) want(t *testing.T, name, attributes string, value int64) {
	t.Helper()
	points, _ := r.points(t, name)
	if assert.Contains(t, points, attributes, name) {
		assert.Equal(t, value, points[attributes], "%s{%s}", name, attributes)
	}
}

// Each request shows in what is collected next.
func TestCollect(t *testing.T) {
	base, end := serve(t)
	u, err := url.Parse(base)
	require.NoError(t, err)
	tr := leaktest.NewTransport(t)
	collect := observed(t, &opentelemetry.Observer{Transport: tr, Name: "api"})
	of := func(state string) string {
		return "http.connection.state=" + state + ",server.address=127.0.0.1,server.port=" + u.Port() + ",url.scheme=http,watertight.transport=api"
	}

	r := collect()
	r.want(t, "watertight.dials", "watertight.transport=api", 0)
	r.want(t, "watertight.closed", "watertight.close.reason=idle timeout,watertight.transport=api", 0)
	r.want(t, "watertight.leaked_bodies", "watertight.leak.cause=dropped,watertight.transport=api", 0)

	readAll(t, get(t, tr, base+"/whole"))
	resp := get(t, tr, base)
	r = collect()
	r.want(t, "http.client.open_connections", of("active"), 1)
	r.want(t, "http.client.open_connections", of("idle"), 0)
	r.want(t, "watertight.open_bodies", "watertight.transport=api", 1)
	r.want(t, "watertight.dials", "watertight.transport=api", 1)
	r.want(t, "watertight.reuses", "watertight.transport=api", 1)

	end()
	assert.Equal(t, "1", readAll(t, resp))
	r = collect()
	r.want(t, "http.client.open_connections", of("active"), 0)
	r.want(t, "http.client.open_connections", of("idle"), 1)

	tr.CloseIdleConnections()
	r = collect()
	r.want(t, "http.client.open_connections", of("idle"), 0)
	r.want(t, "watertight.closed", "watertight.close.reason=idle closed,watertight.transport=api", 1)
}

// Names and units are those of the conventions; what counts the present may fall, the others do not.
func TestInstruments(t *testing.T) {
	base, end := serve(t)
	end()
	tr := leaktest.NewTransport(t)
	collect := observed(t, &opentelemetry.Observer{Transport: tr})
	readAll(t, get(t, tr, base))
	r := collect()
	assert.Len(t, r, 18, "and the histogram, once a connection was closed")
	open := r["http.client.open_connections"]
	assert.Equal(t, "{connection}", open.Unit)
	assert.Equal(t, "Number of outbound HTTP connections that are currently active or idle on the client.", open.Description)
	for name, m := range r {
		assert.NotEmpty(t, m.Unit, name)
		assert.NotEmpty(t, m.Description, name)
		_, monotonic := r.points(t, name)
		switch name {
		case "http.client.open_connections", "watertight.dials_in_progress", "watertight.waiting_requests", "watertight.open_bodies":
			assert.False(t, monotonic, name)
		default:
			assert.True(t, monotonic, name)
		}
	}
	r.want(t, "watertight.dials", "", 1)
}

func TestLeaks(t *testing.T) {
	base, end := serve(t)
	defer end()
	leaked := make(chan transport.Leak, 1)
	tr := transport.New()
	tr.LeakTimeout, tr.OnLeak = 1000000, func(l transport.Leak) { leaked <- l }
	defer tr.Close()
	resp := get(t, tr, base)
	<-leaked
	_, err := io.ReadAll(resp.Body)
	require.Error(t, err)
	require.NoError(t, resp.Body.Close())
	r := observed(t, &opentelemetry.Observer{Transport: tr})()
	r.want(t, "watertight.leaked_bodies", "watertight.leak.cause=forgotten", 1)
	r.want(t, "watertight.closed", "watertight.close.reason=body leaked", 1)
}

// Several Transports share a MeterProvider by their names, and one that is unregistered is not asked any more.
func TestSeveralTransports(t *testing.T) {
	base, end := serve(t)
	defer end()
	a, b := leaktest.NewTransport(t), leaktest.NewTransport(t)
	readAll(t, get(t, a, base+"/whole"))
	reader := sdk.NewManualReader()
	provider := sdk.NewMeterProvider(sdk.WithReader(reader))
	defer func() { assert.NoError(t, provider.Shutdown(t.Context())) }()
	otel.SetMeterProvider(provider)
	defer otel.SetMeterProvider(noop.NewMeterProvider())

	registrations := map[string]metric.Registration{}
	for name, tr := range map[string]*transport.Transport{"a": a, "b": b} {
		registration, err := (&opentelemetry.Observer{Transport: tr, Name: name}).Register()
		require.NoError(t, err)
		registrations[name] = registration
	}
	dials := func() map[string]int64 {
		var all metricdata.ResourceMetrics
		require.NoError(t, reader.Collect(t.Context(), &all))
		for _, m := range all.ScopeMetrics[0].Metrics {
			if m.Name == "watertight.dials" {
				points, _ := reading{m.Name: m}.points(t, m.Name)
				return points
			}
		}
		return nil
	}
	assert.Equal(t, map[string]int64{"watertight.transport=a": 1, "watertight.transport=b": 0}, dials())
	require.NoError(t, registrations["b"].Unregister())
	assert.Equal(t, map[string]int64{"watertight.transport=a": 1}, dials())
}

// Neither credentials nor paths nor queries reach an attribute, whether they are the request's or the proxy's; with a negative
// MaxOrigins no host does.
func TestNothingSecret(t *testing.T) {
	base, end := serve(t)
	defer end()
	direct, proxied := leaktest.NewTransport(t), leaktest.NewTransport(t)
	withUser := strings.Replace(base, "http://", "http://alice:secret@", 1)
	proxy, err := url.Parse(withUser)
	require.NoError(t, err)
	proxied.Proxy = http.ProxyURL(proxy)
	readAll(t, get(t, direct, withUser+"/whole?key=secret"))
	readAll(t, get(t, proxied, "http://alice:secret@a.example/whole?key=secret"))
	for _, limit := range []int{0, -1} {
		points, _ := observed(t,
			&opentelemetry.Observer{Transport: direct, Name: "direct", MaxOrigins: limit},
			&opentelemetry.Observer{Transport: proxied, Name: "proxied", MaxOrigins: limit},
		)().points(t, "http.client.open_connections")
		assert.Len(t, points, 4)
		for attributes := range points {
			for _, secret := range []string{"alice", "secret", "whole", "a.example"} {
				assert.NotContains(t, attributes, secret)
			}
			assert.Equal(t, limit == 0, strings.Contains(attributes, "server.address=127.0.0.1"), attributes)
		}
	}
}

// The origins beyond MaxOrigins are counted together.
func TestOverflow(t *testing.T) {
	tr := leaktest.NewTransport(t)
	collect := observed(t, &opentelemetry.Observer{Transport: tr, MaxOrigins: 1})
	for range 3 {
		base, end := serve(t)
		end()
		readAll(t, get(t, tr, base))
	}
	r := collect()
	points, _ := r.points(t, "http.client.open_connections")
	assert.Len(t, points, 4)
	r.want(t, "http.client.open_connections", "http.connection.state=idle,otel.metric.overflow=true", 2)
}

// An Observer may be registered again, as where a program begins anew with another MeterProvider: what the first Register began is not
// touched, and may be at work.
func TestRegisterAgain(t *testing.T) {
	tr := leaktest.NewTransport(t)
	base, end := serve(t)
	end()
	readAll(t, get(t, tr, base+"/whole"))
	reader := sdk.NewManualReader()
	o := &opentelemetry.Observer{Transport: tr, Name: "first", MeterProvider: sdk.NewMeterProvider(sdk.WithReader(reader))}
	first, err := o.Register()
	require.NoError(t, err)
	o.Name = "second"
	second, err := o.Register()
	require.NoError(t, err)
	r := readingOf(t, reader)
	r.want(t, "watertight.dials", "watertight.transport=first", 1)
	r.want(t, "watertight.dials", "watertight.transport=second", 1)
	require.NoError(t, first.Unregister())
	points, _ := readingOf(t, reader).points(t, "watertight.dials")
	assert.Equal(t, map[string]int64{"watertight.transport=second": 1}, points)
	require.NoError(t, second.Unregister())
}

// What cannot be registered says why.
func TestRegisterFails(t *testing.T) {
	_, err := new(opentelemetry.Observer).Register()
	require.EqualError(t, err, "transport/opentelemetry: Observer.Transport is nil")
	tr := leaktest.NewTransport(t)
	_, err = (&opentelemetry.Observer{Transport: tr, MeterProvider: refusing{}}).Register()
	require.ErrorIs(t, err, errRefused)
}

var errRefused = errors.New("no counters here")

// refusing is a MeterProvider that refuses counters.
type refusing struct{ noop.MeterProvider }

func (refusing) Meter(string, ...metric.MeterOption) metric.Meter { return refusingMeter{} }

type refusingMeter struct{ noop.Meter }

func (refusingMeter) Int64ObservableCounter(string, ...metric.Int64ObservableCounterOption) (metric.Int64ObservableCounter, error) {
	return nil, errRefused
}
