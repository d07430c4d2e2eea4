package opentelemetry_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	sdk "go.opentelemetry.io/otel/sdk/metric"

	"github.com/watertight-go/watertight/transport/leaktest"
	"github.com/watertight-go/watertight/transport/opentelemetry"
)

// attributesOf returns the attributes of a connection to a server on this machine, encoded.
func attributesOf(t *testing.T, base, version string) string {
	u, err := url.Parse(base)
	require.NoError(t, err)
	return "network.protocol.version=" + version + ",server.address=127.0.0.1,server.port=" + u.Port() + ",url.scheme=" + u.Scheme
}

// Each connection that is closed is in the histogram, with what it spoke, in the bounds that the conventions advise.
func TestConnectionDuration(t *testing.T) {
	base, end := serve(t)
	end()
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.EnableHTTP2 = true
	secure.StartTLS()
	defer secure.Close()
	tr := leaktest.NewTransport(t)
	tr.TLSClientConfig = secure.Client().Transport.(*http.Transport).TLSClientConfig
	collect := observed(t, &opentelemetry.Observer{Transport: tr})
	tr.IdleConnTimeout = time.Hour // Register has not begun its use
	opened := time.Now()
	readAll(t, get(t, tr, base+"/whole"))
	readAll(t, get(t, tr, secure.URL))
	assert.Empty(t, collect().durations(t), "nothing is closed yet")

	tr.CloseIdleConnections()
	most := time.Since(opened)
	points := collect().durations(t)
	require.Len(t, points, 2)
	for _, attributes := range []string{attributesOf(t, base, "1.1"), attributesOf(t, secure.URL, "2")} {
		require.Contains(t, points, attributes)
		p := points[attributes]
		assert.EqualValues(t, 1, p.Count)
		assert.Positive(t, p.Sum)
		assert.LessOrEqual(t, p.Sum, most.Seconds())
		assert.Equal(t, []float64{0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300}, p.Bounds)
	}
	assert.Equal(t, time.Hour, tr.IdleConnTimeout)
}

// Those beyond MaxOrigins are one series, no host is told with a negative one, and after Unregister nothing is recorded.
func TestConnectionDurationIsBounded(t *testing.T) {
	tr := leaktest.NewTransport(t)
	reader := sdk.NewManualReader()
	provider := sdk.NewMeterProvider(sdk.WithReader(reader))
	defer func() { assert.NoError(t, provider.Shutdown(t.Context())) }()
	nameless, err := (&opentelemetry.Observer{Transport: tr, MaxOrigins: -1, Name: "all", MeterProvider: provider}).Register()
	require.NoError(t, err)
	collect := observed(t, &opentelemetry.Observer{Transport: tr, MaxOrigins: 1})
	var first string
	for range 3 {
		base, end := serve(t)
		end()
		if first == "" {
			first = base
		}
		readAll(t, get(t, tr, base))
		tr.CloseIdleConnections()
	}
	points := collect().durations(t)
	assert.Len(t, points, 2)
	assert.EqualValues(t, 1, points[attributesOf(t, first, "1.1")].Count)
	assert.EqualValues(t, 2, points["network.protocol.version=1.1,otel.metric.overflow=true"].Count)

	require.NoError(t, nameless.Unregister())
	require.NoError(t, nameless.Unregister())
	base, end := serve(t)
	end()
	readAll(t, get(t, tr, base))
	tr.CloseIdleConnections()
	points = readingOf(t, reader).durations(t)
	require.Len(t, points, 1)
	assert.EqualValues(t, 3, points["network.protocol.version=1.1,watertight.transport=all"].Count)
}
