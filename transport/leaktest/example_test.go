package leaktest_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/watertight-go/watertight/transport"
	"github.com/watertight-go/watertight/transport/leaktest"
)

// userOf is the code under test.
func userOf(client *http.Client, server string) (string, error) {
	resp, err := client.Get(server + "/user")
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return string(b), err
}

func userServer() *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "alice") }))
}

// One line more than the test had: the client.
func ExampleNewClient() {
	test := func(t *testing.T) {
		server := userServer()
		t.Cleanup(server.Close)
		client := leaktest.NewClient(t)
		if got, err := userOf(client, server.URL); got != "alice" || err != nil {
			t.Error(got, err)
		}
	}
	_ = test // package testing calls it
}

// The settings of the code under test, and a check at the end.
func ExampleNewTransport() {
	test := func(t *testing.T) {
		server := userServer()
		t.Cleanup(server.Close)
		tr := leaktest.NewTransport(t)
		tr.MaxConnsPerHost = 2
		if got, err := userOf(&http.Client{Transport: tr}, server.URL); got != "alice" || err != nil {
			t.Error(got, err)
		}
	}
	_ = test // package testing calls it
}

// Code that takes no client.
func ExampleVerifyDefault() {
	test := func(t *testing.T) {
		server := userServer()
		t.Cleanup(server.Close)
		leaktest.VerifyDefault(t)
		if got, err := userOf(http.DefaultClient, server.URL); got != "alice" || err != nil {
			t.Error(got, err)
		}
	}
	_ = test // package testing calls it
}

// A Transport that the code under test has made.
func ExampleVerifyNone() {
	test := func(t *testing.T) {
		server := userServer()
		defer server.Close()
		tr := transport.New()
		defer leaktest.VerifyNone(t, tr) // the last to run: sockets and goroutines are looked at as well
		defer tr.Close()
		if got, err := userOf(&http.Client{Transport: tr}, server.URL); got != "alice" || err != nil {
			t.Error(got, err)
		}
	}
	_ = test // package testing calls it
}

// A whole package, with one function in one of its test files.
func ExampleVerifyTestMain() {
	testMain := func(m *testing.M) { leaktest.VerifyTestMain(m) }
	_ = testMain // it is called TestMain there
}

// A whole package that package goleak looks at too.
func ExampleWrap() {
	testMain := func(m *testing.M) {
		leaktest.Grace = 5 * time.Second // where much goes on in the background after the tests
		var wrapped leaktest.TestingM = leaktest.Wrap(m)
		verifyGoroutines(wrapped) // goleak.VerifyTestMain
	}
	_ = testMain // it is called TestMain there
}

func verifyGoroutines(m leaktest.TestingM) { m.Run() }

// Outside of a test, or to look at what was found.
func ExampleFind() {
	server := userServer()
	defer server.Close()
	tr := transport.New()
	defer tr.Close()
	resp, err := (&http.Client{Transport: tr}).Get(server.URL + "/user")
	if err != nil {
		fmt.Println(err)
		return
	}
	summary, _, _ := strings.Cut(leaktest.Find(tr).Error(), "\n")
	fmt.Println(summary)
	_ = resp.Body.Close()
	fmt.Println(leaktest.Find(tr))
	// Output:
	// leaktest: 1 response body leaked
	// <nil>
}
