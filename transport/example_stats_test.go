package transport_test

import (
	"encoding/json"
	"expvar"
	"fmt"
	"net/http"
	"net/http/httptest"
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

// Which functions hold open bodies, for go tool pprof; here from a page of the program's own.
func ExampleTransport_WriteProfile() {
	server := exampleServer()
	defer server.Close()

	tr := &transport.Transport{RecordStacks: true}
	defer tr.Close()
	http.HandleFunc("/debug/bodies", func(w http.ResponseWriter, _ *http.Request) { // go tool pprof -top http://.../debug/bodies
		_ = tr.WriteProfile(w)
	})

	resp, err := (&http.Client{Transport: tr}).Get(server.URL + "/large")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	page := httptest.NewRecorder()
	http.DefaultServeMux.ServeHTTP(page, httptest.NewRequest(http.MethodGet, "/debug/bodies", nil))
	fmt.Println("gzip:", strings.HasPrefix(page.Body.String(), "\x1f\x8b"))
	// Output: gzip: true
}
