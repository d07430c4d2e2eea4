package statuspage_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/watertight-go/watertight/transport"
	"github.com/watertight-go/watertight/transport/statuspage"
)

func ExampleHandler() {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	tr := &transport.Transport{}
	defer tr.Close()

	// In earnest on an address that only operators reach, as net/http/pprof.
	debug := http.NewServeMux()
	debug.Handle("/debug/transport", &statuspage.Handler{Transport: tr})

	if resp, err := (&http.Client{Transport: tr}).Get(server.URL); err == nil {
		_ = resp.Body.Close()
	}
	page := httptest.NewRecorder()
	debug.ServeHTTP(page, httptest.NewRequest(http.MethodGet, "/debug/transport?format=json", nil))
	var status struct {
		Connections struct {
			Items []struct {
				State    string
				Requests int
			}
		}
	}
	fmt.Println(page.Code, json.Unmarshal(page.Body.Bytes(), &status))
	for _, c := range status.Connections.Items {
		fmt.Println(c.State, "requests:", c.Requests)
	}
	// Output:
	// 200 <nil>
	// idle requests: 1
}
