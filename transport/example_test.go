package transport_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"time"

	"github.com/watertight-go/watertight/transport"
)

// exampleServer answers "/" with a greeting and everything else with a megabyte.
func exampleServer() *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			_, _ = io.WriteString(w, "hello")
			return
		}
		_, _ = w.Write(make([]byte, 1<<20))
	}))
}

func ExampleNew() {
	server := exampleServer()
	defer server.Close()

	tr := transport.New() // the settings of http.DefaultTransport
	defer tr.Close()
	client := &http.Client{Transport: tr}
	for range 3 {
		if _, err := client.Get(server.URL); err != nil { // nobody closes the body
			fmt.Println(err)
			return
		}
	}
	fmt.Println("connections opened:", tr.Stats().Dials)
	// Output: connections opened: 1
}

func ExampleTransport_Client() {
	server := exampleServer()
	defer server.Close()

	tr := transport.New()
	defer tr.Close()
	client := tr.Client(10 * time.Second) // for each request, its body included
	resp, err := client.Get(server.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	fmt.Println(string(body), err)
	// Output: hello <nil>
}

func ExampleFrom() {
	server := exampleServer()
	defer server.Close()

	configured := &http.Transport{ResponseHeaderTimeout: 10 * time.Second, MaxConnsPerHost: 8}
	tr := transport.From(configured)
	defer tr.Close()
	resp, err := (&http.Client{Transport: tr}).Get(server.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	fmt.Println(resp.Status, tr.ResponseHeaderTimeout, tr.MaxConnsPerHost)
	// Output: 200 OK 10s 8
}

func ExampleInstall() {
	server := exampleServer()
	defer server.Close()

	// Code that insists on an *http.Transport gets one, and its requests go through ours.
	std := &http.Transport{}
	tr, err := transport.Install(std)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer tr.Close()
	resp, err := (&http.Client{Transport: std}).Get(server.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	fmt.Println("idle:", tr.Stats().Idle)
	std.CloseIdleConnections()
	fmt.Println("idle:", tr.Stats().Idle)
	// Output:
	// idle: 1
	// idle: 0
}

func ExampleGuard() {
	server := exampleServer()
	defer server.Close()

	base := &http.Transport{} // or any other http.RoundTripper
	defer base.CloseIdleConnections()
	leaks := make(chan transport.Leak)
	guard := &transport.Guard{
		Base:        base,
		LeakTimeout: 20 * time.Millisecond, // minutes, in earnest
		OnLeak:      func(l transport.Leak) { leaks <- l },
	}
	resp, err := (&http.Client{Transport: guard}).Get(server.URL + "/large")
	if err != nil {
		fmt.Println(err)
		return
	}
	l := <-leaks // nobody read it
	fmt.Println(l.Method, strings.TrimPrefix(l.URL, server.URL), l.Cause)
	_, err = resp.Body.Read(make([]byte, 1))
	_, late := err.(*transport.ReclaimedError)
	fmt.Println("a late Read is told so:", late)
	// Output:
	// GET /large forgotten
	// a late Read is told so: true
}

func ExampleTransport_Stats() {
	server := exampleServer()
	defer server.Close()

	tr := &transport.Transport{}
	client := &http.Client{Transport: tr}
	for range 3 {
		resp, err := client.Get(server.URL)
		if err != nil {
			fmt.Println(err)
			return
		}
		_ = resp.Body.Close()
	}
	st := tr.Stats()
	fmt.Println("opened", st.Dials, "used again", st.Reuses, "idle", st.Idle, "leased", st.Leased)
	_ = tr.Close()
	fmt.Println("open", tr.Stats().Open)
	// Output:
	// opened 1 used again 2 idle 1 leased 0
	// open 0
}

func ExampleTransport_OpenBodies() {
	server := exampleServer()
	defer server.Close()

	tr := &transport.Transport{RecordStacks: true}
	defer tr.Close()
	resp, err := (&http.Client{Transport: tr}).Get(server.URL + "/large?token=secret")
	if err != nil {
		fmt.Println(err)
		return
	}
	_, _ = io.ReadFull(resp.Body, make([]byte, 1000))
	for _, b := range tr.OpenBodies() {
		opened, _, _ := strings.Cut(b.Stack, " ")
		fmt.Println(b.Method, strings.TrimPrefix(b.URL, server.URL), b.BytesRead, opened[strings.LastIndex(opened, ".")+1:])
	}
	_ = resp.Body.Close()
	// Output:
	// GET /large 1000 ExampleTransport_OpenBodies
}

// OnLeak is called after a body that nobody closed was taken back.
func ExampleTransport_onLeak() {
	server := exampleServer()
	defer server.Close()

	leaks := make(chan transport.Leak, 1)
	tr := &transport.Transport{OnLeak: func(l transport.Leak) { leaks <- l }}
	defer tr.Close()
	if _, err := (&http.Client{Transport: tr}).Get(server.URL + "/large"); err != nil { // dropped, unread
		fmt.Println(err)
		return
	}
	for { // the collector finds it, sooner or later; here sooner
		runtime.GC()
		select {
		case l := <-leaks:
			fmt.Println(l.Method, strings.TrimPrefix(l.URL, server.URL), l.Cause)
			return
		case <-time.After(time.Millisecond):
		}
	}
	// Output: GET /large dropped
}

func ExampleTransport_RegisterProtocol() {
	tr := &transport.Transport{}
	defer tr.Close()
	tr.RegisterProtocol("file", http.NewFileTransport(http.Dir(".")))
	resp, err := (&http.Client{Transport: tr}).Get("file:///example_test.go")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	first := make([]byte, len("package transport_test"))
	_, _ = io.ReadFull(resp.Body, first)
	fmt.Println(string(first))
	// Output: package transport_test
}
