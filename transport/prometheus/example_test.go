package prometheus_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/watertight-go/watertight/transport"
	watertight "github.com/watertight-go/watertight/transport/prometheus"
)

func Example() {
	tr := transport.New()
	defer tr.Close()
	registry := prometheus.NewRegistry() // or prometheus.DefaultRegisterer
	registry.MustRegister(&watertight.Collector{Transport: tr, Name: "payments"})

	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	client := &http.Client{Transport: tr}
	for range 3 {
		resp, err := client.Get(server.URL)
		if err != nil {
			fmt.Println(err)
			return
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}

	// Instead of what promhttp.HandlerFor(registry, promhttp.HandlerOpts{}) serves:
	n, err := testutil.GatherAndCount(registry, "watertight_dials_total", "watertight_reuses_total")
	fmt.Println(n, err)
	fmt.Println(tr.Stats().Dials, tr.Stats().Reuses)
	// Output:
	// 2 <nil>
	// 1 2
}
