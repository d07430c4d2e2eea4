package auto_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/watertight-go/watertight/transport/auto"
)

// The import is all that there is to do; the variable is for whoever wants to look.
func Example() {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	before := auto.Transport.Stats().Requests
	if resp, err := http.Get(server.URL); err == nil {
		_ = resp.Body.Close()
	}
	fmt.Println("requests through ours:", auto.Transport.Stats().Requests-before)
	http.DefaultClient.CloseIdleConnections()
	// Output: requests through ours: 1
}
