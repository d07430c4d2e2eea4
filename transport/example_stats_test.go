package transport_test

import (
	"encoding/json"
	"expvar"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"

	"github.com/watertight-go/watertight/pool"
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

// Each connection's end, for a log or metrics of one's own; Ages has the same as a histogram.
func ExampleTransport_ObserveCloses() {
	server := exampleServer()
	defer server.Close()

	tr := &transport.Transport{}
	defer tr.Close()
	stop := tr.ObserveCloses(func(c transport.ClosedConnection) {
		fmt.Println("closed after", c.Requests, "request, the reason:", c.Reason, "- in less than a minute:", c.Age < time.Minute)
	})
	defer stop()

	resp, err := (&http.Client{Transport: tr}).Get(server.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = resp.Body.Close()
	tr.CloseIdleConnections()

	ages := tr.Stats().Ages
	var last transport.AgeCount = ages.UpTo[len(ages.UpTo)-1]
	fmt.Println(ages.Count, "closed, of these", last.Count, "no older than", last.Age)
	// Output:
	// closed after 1 request, the reason: idle closed - in less than a minute: true
	// 1 closed, of these 1 no older than 2h46m40s
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

// What http.DefaultTransport does with 10 requests at once, time and again, as it keeps 2 connections of them: said in plain words.
func ExampleTransport_Diagnose() {
	var arrived sync.WaitGroup
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		arrived.Done()
		arrived.Wait() // for the others
	}))
	defer server.Close()

	tr := &transport.Transport{MaxIdleConnsPerHost: 2}
	defer tr.Close()
	for range 5 {
		arrived.Add(10)
		var done sync.WaitGroup
		for range 10 {
			done.Go(func() {
				if resp, err := (&http.Client{Transport: tr}).Get(server.URL); err == nil {
					_ = resp.Body.Close()
				}
			})
		}
		done.Wait()
	}
	var findings []transport.Finding = tr.Diagnose()
	for _, f := range findings {
		fmt.Println(f.Field, "of", f.Figures["requests"], "requests", f.Figures["dials"], "dialed")
		_, last, _ := strings.Cut(f.Text, "; ")
		_, last, _ = strings.Cut(last, "; ")
		fmt.Println(last)
	}
	// Output:
	// MaxIdleConnsPerHost of 50 requests 42 dialed
	// MaxIdleConnsPerHost is 2 and up to 10 requests ran at once
}

func ExampleTransport_Connections() {
	server := exampleServer()
	defer server.Close()

	tr := &transport.Transport{}
	defer tr.Close()
	for range 3 {
		resp, err := (&http.Client{Transport: tr}).Get(server.URL)
		if err != nil {
			fmt.Println(err)
			return
		}
		_ = resp.Body.Close()
	}
	var list []transport.Connection = tr.Connections()
	for _, c := range list {
		fmt.Println(c.Protocol, "leased:", c.Leased, "requests:", c.Requests)
	}
	// Output: HTTP/1.1 leased: false requests: 3
}

// Who has to act on what closes connections.
func ExampleCounts() {
	server := exampleServer()
	defer server.Close()

	tr := &transport.Transport{}
	resp, err := (&http.Client{Transport: tr}).Get(server.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = resp.Body.Close()
	_ = tr.Close()

	var all transport.Counts = tr.Stats().Counts
	for why, n := range all.Closes {
		switch why {
		case transport.ReasonPeerClosed, transport.ReasonPeerReset, transport.ReasonNearItsEnd, transport.ReasonNoKeepAlive:
			fmt.Println(n, "by the server's rules")
		case transport.ReasonFailed, transport.ReasonUnsolicited, transport.ReasonUnfinished, transport.ReasonSilent:
			fmt.Println(n, "by trouble with the server")
		case transport.ReasonCancelled, transport.ReasonUnread, transport.ReasonLeaked, transport.ReasonUpgraded:
			fmt.Println(n, "by the program")
		case pool.IdleTimeout, pool.Lifetime, pool.Evicted, pool.IdleClosed, pool.Unwanted, pool.Closed:
			fmt.Println(n, "by the pool:", why)
		}
	}
	fmt.Println("opened", all.Dials, "peer first", all.PeerFirst, "we first", all.WeFirst)
	// Output:
	// 1 by the pool: pool closed
	// opened 1 peer first 0 we first 1
}
