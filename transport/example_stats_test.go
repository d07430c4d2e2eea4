package transport_test

import (
	"encoding/json"
	"expvar"
	"fmt"
	"net/http"
	"strings"

	"github.com/watertight-go/watertight/transport"
)

// Stats go to /debug/vars in one line.
func ExampleStats() {
	server := exampleServer()
	defer server.Close()

	tr := &transport.Transport{}
	defer tr.Close()
	expvar.Publish("http", expvar.Func(func() any { return tr.Stats() }))

	resp, err := (&http.Client{Transport: tr}).Get(server.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = resp.Body.Close()

	var shown struct {
		Idle, Requests, Dials int64
		Origins               map[string]transport.Counts
	}
	if err := json.NewDecoder(strings.NewReader(expvar.Get("http").String())).Decode(&shown); err != nil {
		fmt.Println(err)
	}
	fmt.Println("idle", shown.Idle, "requests", shown.Requests, "dials", shown.Dials)
	fmt.Println("of this server:", shown.Origins[server.URL].Requests)
	// Output:
	// idle 1 requests 1 dials 1
	// of this server: 1
}
