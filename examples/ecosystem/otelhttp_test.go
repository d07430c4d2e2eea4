//go:build linux

package ecosystem_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/watertight-go/watertight/transport"
	"github.com/watertight-go/watertight/transport/leaktest"
)

// text serves a body of this many bytes, its size given: more than a small one.
func text(size int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Traceparent", r.Header.Get("Traceparent"))
		_, _ = io.WriteString(w, strings.Repeat("a", size))
	}
}

// tracing returns options for otelhttp, and what it recorded.
func tracing(t *testing.T) (otelhttp.Option, *tracetest.SpanRecorder) {
	spans := tracetest.NewSpanRecorder()
	provider := trace.NewTracerProvider(trace.WithSpanProcessor(spans))
	t.Cleanup(func() { assert.NoError(t, provider.Shutdown(context.Background())) })
	return otelhttp.WithTracerProvider(provider), spans
}

// otelhttp goes around ours: a span per request, ended with the body.
func TestOtelhttp(t *testing.T) {
	server := httptest.NewServer(text(100_000))
	t.Cleanup(server.Close)
	option, spans := tracing(t)
	tr := leaktest.NewTransport(t)
	client := &http.Client{Transport: otelhttp.NewTransport(tr, option)}
	for range 3 {
		resp, err := client.Get(server.URL)
		require.NoError(t, err)
		assert.Len(t, readAll(t, resp), 100_000)
	}
	assert.Len(t, spans.Ended(), 3)
	assert.EqualValues(t, 1, tr.Stats().Dials)
	wantSockets(t, server.URL, 1)

	// otelhttp does not pass CloseIdleConnections on: it is ours that must be asked.
	client.CloseIdleConnections()
	wantSockets(t, server.URL, 1)
	tr.CloseIdleConnections()
	wantSockets(t, server.URL, 0)
}

// A body that is dropped inside of otelhttp's is found; its span does not end, as nobody closes otelhttp's body. With a Guard
// outside, that is closed, and the span ends.
func TestOtelhttpDroppedBody(t *testing.T) {
	server := httptest.NewServer(text(20 << 20))
	t.Cleanup(server.Close)
	option, spans := tracing(t)
	get := func(rt http.RoundTripper) {
		resp, err := (&http.Client{Transport: rt}).Get(server.URL)
		require.NoError(t, err)
		_, err = resp.Body.Read(make([]byte, 10))
		require.NoError(t, err)
	}

	tr, leaks := dropping(t)
	get(otelhttp.NewTransport(tr, option))
	wantDropped(t, leaks)
	wantSockets(t, server.URL, 0)
	assert.Empty(t, spans.Ended())

	tr, leaks = dropping(t)
	guarded := make(chan transport.Leak, 1)
	get(&transport.Guard{Base: otelhttp.NewTransport(tr, option), OnLeak: func(l transport.Leak) { guarded <- l }})
	wantDropped(t, guarded)
	wantSockets(t, server.URL, 0)
	assert.Len(t, spans.Ended(), 1)
	assert.Empty(t, leaks, "to the Transport it was closed")
}
