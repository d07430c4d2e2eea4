//go:build linux

package bench_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/watertight-go/watertight/internal/sockstat"
)

var (
	conns = flag.Int("conns", 300, "idle connections of the benchmarks about them")
	burst = flag.Int("burst", 100, "how many of them are opened at once, each time to a host of their own")
)

// A stage is a server, and a client of it with n idle connections.
type stage struct {
	server, client child
	port           uint16
	before, after  usage
}

func newStage(b *testing.B, subject string, https bool, n int) *stage {
	b.Helper()
	s := &stage{server: start(b, "server", "")}
	var at addresses
	s.server.do(b, "addresses", &at)
	t := target{Subject: subject, Addrs: at.HTTP, HTTPS: https, Certificate: at.Certificate}
	if https {
		t.Addrs = at.HTTPS
	}
	s.port = netip.MustParseAddrPort(t.Addrs[0]).Port()
	args, err := json.Marshal(t)
	if err != nil {
		b.Fatal(err)
	}
	s.client = start(b, "client", string(args))
	s.client.do(b, "begin 1", nil)
	s.client.do(b, "finish", nil)
	s.client.do(b, "usage", &s.before)
	for left := n; left > 0; left -= *burst {
		s.open(b, min(left, *burst))
	}
	s.client.do(b, "usage", &s.after)
	return s
}

// open makes n requests at once, which leave as many idle connections behind.
func (s *stage) open(b *testing.B, n int) {
	s.server.do(b, "hold", nil)
	s.client.do(b, fmt.Sprintf("begin %d", n), nil)
	for held, began := 0, time.Now(); held < n; time.Sleep(time.Millisecond) {
		if s.server.do(b, "held", &held); time.Since(began) > 2*time.Minute {
			b.Fatalf("%d of %d requests arrived", held, n)
		}
	}
	s.server.do(b, "go", nil)
	s.client.do(b, "finish", nil)
}

func each(b *testing.B, names []string, run func(b *testing.B, subject string, https bool)) {
	for _, https := range []bool{false, true} {
		for _, name := range names {
			b.Run(map[bool]string{false: "http", true: "https"}[https]+"/"+name, func(b *testing.B) { run(b, name, https) })
		}
	}
}

// What idle connections need: memory and goroutines of the whole process beyond what it needed before, per connection; and the CPU
// time of a collection.
func BenchmarkIdle(b *testing.B) {
	each(b, []string{"bare", "fasthttp", "net-http", "watertight"}, func(b *testing.B, subject string, https bool) {
		for b.Loop() {
			s := newStage(b, subject, https, *conns)
			b.ReportMetric(float64(s.after.RSS-s.before.RSS)/float64(*conns), "B/conn")
			b.ReportMetric(float64(s.after.Goroutines-s.before.Goroutines), "goroutines")
			b.ReportMetric(float64(s.after.GC.Microseconds()), "GC-µs")
		}
		b.ReportMetric(0, "ns/op")
	})
}

// How long a client's socket stays open after its server hung up: on all connections at once, and what is in CLOSE_WAIT a second
// later; and on one at a time.
func BenchmarkHangup(b *testing.B) {
	each(b, []string{"net-http", "watertight"}, func(b *testing.B, subject string, https bool) {
		for b.Loop() {
			var all, single latencies
			s := newStage(b, subject, https, *conns)
			s.server.do(b, "hang up", &all)
			time.Sleep(time.Second)
			waiting, err := sockstat.List(sockstat.Filter{RemotePort: s.port, States: []sockstat.State{sockstat.CloseWait}})
			if err != nil {
				b.Fatal(err)
			}
			newStage(b, subject, https, min(*conns, 500)).server.do(b, "hang up one by one", &single)
			b.ReportMetric(float64(all.P50.Microseconds()), "all-p50-µs")
			b.ReportMetric(float64(all.P99.Microseconds()), "all-p99-µs")
			b.ReportMetric(float64(len(waiting)+all.Left), "left")
			b.ReportMetric(float64(single.P50.Microseconds()), "one-p50-µs")
			b.ReportMetric(float64(single.P99.Microseconds()), "one-p99-µs")
		}
		b.ReportMetric(0, "ns/op")
	})
}
