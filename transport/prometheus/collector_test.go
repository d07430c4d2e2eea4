package prometheus_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/transport"
	"github.com/watertight-go/watertight/transport/leaktest"
	watertight "github.com/watertight-go/watertight/transport/prometheus"
)

// serve starts a server that sends a head and one byte, and the end once the test says so.
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
	end = func() { close(ended) }
	return server.URL, end
}

// registry returns one that checks that what is collected was described.
func registry(t *testing.T, collectors ...*watertight.Collector) *prometheus.Registry {
	r := prometheus.NewPedanticRegistry()
	for _, c := range collectors {
		require.NoError(t, r.Register(c))
	}
	return r
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

// scrape returns what Prometheus would read, the comments left out.
func scrape(t *testing.T, r *prometheus.Registry) string {
	handler := promhttp.HandlerFor(r, promhttp.HandlerOpts{ErrorHandling: promhttp.HTTPErrorOnError})
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	require.Equal(t, http.StatusOK, w.Code, w.Body)
	var lines strings.Builder
	for line := range strings.Lines(w.Body.String()) {
		if !strings.HasPrefix(line, "#") {
			lines.WriteString(line)
		}
	}
	return lines.String()
}

// Names, units and help texts are as Prometheus wants them, before the first request and after.
func TestLint(t *testing.T) {
	base, end := serve(t)
	tr := leaktest.NewTransport(t)
	r := registry(t, &watertight.Collector{Transport: tr, Name: "a"})
	for range 2 {
		problems, err := testutil.GatherAndLint(r)
		require.NoError(t, err)
		assert.Empty(t, problems)
		resp := get(t, tr, base)
		defer readAll(t, resp)
	}
	end()
}

// Each request shows in the next scrape.
func TestScrape(t *testing.T) {
	base, end := serve(t)
	tr := leaktest.NewTransport(t)
	r := registry(t, &watertight.Collector{Transport: tr, Name: "api"})
	count := func(want ...string) {
		t.Helper()
		got := scrape(t, r)
		for _, line := range want {
			assert.Contains(t, got, strings.ReplaceAll(line, "BASE", base)+"\n")
		}
	}
	count(`watertight_dials_total{transport="api"} 0`,
		`watertight_connections_closed_total{reason="idle timeout",transport="api"} 0`,
		`watertight_leaked_bodies_total{cause="dropped",transport="api"} 0`,
		`watertight_connection_age_seconds_count{transport="api"} 0`)

	readAll(t, get(t, tr, base+"/whole"))
	resp := get(t, tr, base)
	count(`watertight_connections{state="idle",transport="api"} 0`,
		`watertight_connections{state="leased",transport="api"} 1`,
		`watertight_open_bodies{transport="api"} 1`,
		`watertight_origin_connections{origin="BASE",state="leased",transport="api"} 1`,
		`watertight_dials_total{transport="api"} 1`,
		`watertight_reuses_total{transport="api"} 1`)

	end()
	assert.Equal(t, "1", readAll(t, resp))
	count(`watertight_connections{state="idle",transport="api"} 1`,
		`watertight_connections{state="leased",transport="api"} 0`,
		`watertight_open_bodies{transport="api"} 0`,
		`watertight_origin_connections{origin="BASE",state="idle",transport="api"} 1`)

	tr.CloseIdleConnections()
	count(`watertight_connections{state="idle",transport="api"} 0`,
		`watertight_origin_connections{origin="BASE",state="idle",transport="api"} 0`,
		`watertight_connections_closed_total{reason="idle closed",transport="api"} 1`,
		`watertight_connection_age_seconds_bucket{transport="api",le="10000"} 1`,
		`watertight_connection_age_seconds_count{transport="api"} 1`)
	assert.Positive(t, tr.Stats().Ages.Sum)
	assert.Contains(t, scrape(t, r), fmt.Sprintf("watertight_connection_age_seconds_sum{transport=\"api\"} %v\n", tr.Stats().Ages.Sum.Seconds()))
}

// Every field of Stats has its metric: what one counts, the other says.
func TestClosesAndLeaks(t *testing.T) {
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
	got := scrape(t, registry(t, &watertight.Collector{Transport: tr, Name: "api"}))
	assert.Contains(t, got, `watertight_leaked_bodies_total{cause="forgotten",transport="api"} 1`+"\n")
	assert.Contains(t, got, `watertight_connections_closed_total{reason="body leaked",transport="api"} 1`+"\n")
}

// Several Transports share a registry by their names; one name is one Transport's.
func TestSeveralTransports(t *testing.T) {
	base, end := serve(t)
	defer end()
	a, b := leaktest.NewTransport(t), leaktest.NewTransport(t)
	r := registry(t, &watertight.Collector{Transport: a, Name: "a"}, &watertight.Collector{Transport: b, Name: "b"}, &watertight.Collector{Transport: b})
	readAll(t, get(t, a, base+"/whole"))
	got := scrape(t, r)
	assert.Contains(t, got, `watertight_dials_total{transport="a"} 1`+"\n")
	assert.Contains(t, got, `watertight_dials_total{transport="b"} 0`+"\n")
	assert.Contains(t, got, `watertight_dials_total{transport=""} 0`+"\n")

	err := r.Register(&watertight.Collector{Transport: b, Name: "a"})
	var twice prometheus.AlreadyRegisteredError
	require.ErrorAs(t, err, &twice)
	second := &watertight.Collector{Transport: b, Name: "c"}
	require.NoError(t, r.Register(second))
	assert.True(t, r.Unregister(second))
	assert.NotContains(t, scrape(t, r), `"c"`)
}

// Neither credentials nor paths nor queries reach a label, whether they are the request's or the proxy's.
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
	got := scrape(t, registry(t, &watertight.Collector{Transport: direct, Name: "direct"}, &watertight.Collector{Transport: proxied, Name: "proxied"}))
	assert.Contains(t, got, `origin="`+base+`"`)
	assert.Contains(t, got, `origin="http through `+base+`"`)
	for _, secret := range []string{"alice", "secret", "whole", "a.example"} {
		assert.NotContains(t, got, secret)
	}
}

func TestNoTransport(t *testing.T) {
	c := &watertight.Collector{}
	require.ErrorContains(t, prometheus.NewRegistry().Register(c), "transport/prometheus: Collector.Transport is nil")
	require.ErrorContains(t, testutil.CollectAndCompare(c, strings.NewReader("")), "Collector.Transport is nil")
}

// A Transport that was never used, and one that is closed, can be looked at too.
func TestUnusedAndClosed(t *testing.T) {
	tr := transport.New()
	r := registry(t, &watertight.Collector{Transport: tr})
	before := scrape(t, r)
	assert.Equal(t, 55, strings.Count(before, "\n"), "the number of series in the package's documentation")
	require.NoError(t, tr.Close())
	assert.Equal(t, before, scrape(t, r))
}
