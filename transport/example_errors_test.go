package transport_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"time"

	"github.com/watertight-go/watertight/transport"
)

// A request that waits too long for a connection learns who holds them.
func ExampleAcquireError() {
	server := exampleServer()
	defer server.Close()

	tr := &transport.Transport{MaxConnsPerHost: 1, AcquireTimeout: 10 * time.Millisecond}
	defer tr.Close()
	client := &http.Client{Transport: tr}
	report, err := client.Get(server.URL + "/report")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer report.Body.Close()

	_, err = client.Get(server.URL + "/")
	var full *transport.AcquireError
	if errors.As(err, &full) {
		fmt.Println("connections allowed:", full.Limit, "being dialed:", full.Dialing)
		var holders []transport.Holder = full.Holders
		for _, holder := range holders {
			fmt.Println(holder.State, "by", strings.TrimPrefix(holder.URL, server.URL))
		}
	}
	fmt.Println("a timeout:", errors.Is(err, context.DeadlineExceeded))
	// Output:
	// connections allowed: 1 being dialed: 0
	// leased by /report
	// a timeout: true
}

// A server that does not keep to the protocol is named, with the step that failed.
func ExampleExchangeError() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer l.Close()
	go func() {
		if c, err := l.Accept(); err == nil {
			_, _ = c.Read(make([]byte, 1000))
			_, _ = c.Write([]byte("HTTP/1.1 twohundred OK\r\n\r\n"))
			_ = c.Close()
		}
	}()
	tr := &transport.Transport{}
	defer tr.Close()
	_, err = (&http.Client{Transport: tr}).Get("http://" + l.Addr().String())
	var fault *transport.ExchangeError
	fmt.Println(errors.As(err, &fault) && fault.Remote == l.Addr().String())
	// Output: true
}

// Settings that can only be slips are refused; a program may ask before the first request.
func ExampleTransport_Validate() {
	tr := &transport.Transport{IdleConnTimeout: 30}
	fmt.Println(tr.Validate())
	// Output: transport: IdleConnTimeout is 30ns: did you mean 30*time.Second?
}

// A copy of the settings, for a Transport of its own.
func ExampleTransport_Clone() {
	tr := transport.New()
	other := tr.Clone()
	other.MaxConnsPerHost = 10
	fmt.Println(tr.MaxConnsPerHost, other.MaxConnsPerHost, other.IdleConnTimeout)
	// Output: 0 10 1m30s
}

// A program that ends lets its requests end first, within bounds.
func ExampleTransport_Shutdown() {
	server := exampleServer()
	defer server.Close()

	tr := &transport.Transport{}
	client := &http.Client{Transport: tr}
	resp, err := client.Get(server.URL + "/large")
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	fmt.Println("with a body open:", tr.Shutdown(ctx))
	_ = resp.Body.Close()
	fmt.Println("after its Close:", tr.Shutdown(context.Background()))
	_, err = client.Get(server.URL)
	fmt.Println("later requests:", errors.Is(err, transport.ErrClosed))
	// Output:
	// with a body open: context deadline exceeded
	// after its Close: <nil>
	// later requests: true
}

// CancelRequest is for code that has no context to cancel.
func ExampleTransport_CancelRequest() {
	arrived := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
	}))
	defer server.Close()
	tr := &transport.Transport{}
	defer tr.Close()
	req, err := http.NewRequest(http.MethodGet, server.URL, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	go func() {
		<-arrived
		tr.CancelRequest(req)
	}()
	_, err = tr.RoundTrip(req)
	fmt.Println(err)
	// Output: net/http: request canceled
}

// What to make of a leak depends on how it was found.
func ExampleLeakCause() {
	server := exampleServer()
	defer server.Close()

	found := make(chan string)
	tr := &transport.Transport{OnLeak: func(l transport.Leak) {
		switch l.Cause {
		case transport.Dropped:
			found <- "nobody can read it any more: a Close is missing"
		case transport.Forgotten:
			found <- "somebody holds it, and does not read"
		case transport.HungUp:
			found <- "either of both, and its server had hung up by then"
		}
	}}
	defer tr.Close()
	if _, err := (&http.Client{Transport: tr}).Get(server.URL + "/large"); err != nil {
		fmt.Println(err)
		return
	}
	for {
		runtime.GC()
		select {
		case what := <-found:
			fmt.Println(what)
			return
		case <-time.After(time.Millisecond):
		}
	}
	// Output: nobody can read it any more: a Close is missing
}

// Guard is a RoundTripper like others.
func ExampleGuard_RoundTrip() {
	server := exampleServer()
	defer server.Close()
	base := &http.Transport{}
	guard := &transport.Guard{Base: base, RecordStacks: true}
	defer guard.CloseIdleConnections()
	req, err := http.NewRequest(http.MethodGet, server.URL+"/large", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	resp, err := guard.RoundTrip(req)
	if err != nil {
		fmt.Println(err)
		return
	}
	var open []transport.OpenBody = guard.OpenBodies()
	fmt.Println("open:", len(open))
	_ = resp.Body.Close()
	fmt.Println("open:", len(guard.OpenBodies()))
	// Output:
	// open: 1
	// open: 0
}
