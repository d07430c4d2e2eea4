package opentelemetry_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/watertight-go/watertight/transport"
	"github.com/watertight-go/watertight/transport/opentelemetry"
)

func Example() {
	reader := sdk.NewManualReader() // or a reader that exports
	provider := sdk.NewMeterProvider(sdk.WithReader(reader))
	tr := transport.New()
	defer tr.Close()
	registration, err := (&opentelemetry.Observer{Transport: tr, Name: "payments", MeterProvider: provider}).Register()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = registration.Unregister() }()

	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	resp, err := (&http.Client{Transport: tr}).Get(server.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()

	var all metricdata.ResourceMetrics
	if err := reader.Collect(context.Background(), &all); err != nil {
		fmt.Println(err)
		return
	}
	for _, m := range all.ScopeMetrics[0].Metrics {
		if m.Name == "http.client.open_connections" {
			for _, p := range m.Data.(metricdata.Sum[int64]).DataPoints {
				state, _ := p.Attributes.Value("http.connection.state")
				fmt.Println(state.AsString(), p.Value)
			}
		}
	}
	// Unordered output:
	// active 0
	// idle 1
}
