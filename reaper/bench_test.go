//go:build linux || darwin || dragonfly || freebsd || netbsd || openbsd

package reaper_test

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/reaper"
)

// One look into a socket where nothing lies: what a pool pays at every lease.
func BenchmarkProbe(b *testing.B) {
	c, _ := pair(b)
	p, err := reaper.NewProber(c)
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		if err := p.Probe(); err != nil {
			b.Fatal(err)
		}
	}
}

// One connection that is watched and stopped, beside another that is watched throughout or as the only one.
func BenchmarkWatchStop(b *testing.B) {
	for _, others := range []int{1, 0} {
		b.Run([...]string{"only", "beside others"}[others], func(b *testing.B) {
			var r reaper.Reaper
			for range others {
				watchedPair(b, &r)
			}
			c, _ := pair(b)
			b.ReportAllocs()
			for b.Loop() {
				var w reaper.Watch
				if err := r.Watch(&w, c, nil); err != nil {
					b.Fatal(err)
				}
				w.Stop()
			}
		})
	}
}

// From the peer's close to the telling, for one connection and, to the last call, for 2,000 at once.
func BenchmarkHangupLatency(b *testing.B) {
	for name, n := range map[string]int{"one": 1, "2000": 2000} {
		b.Run(name, func(b *testing.B) {
			var r reaper.Reaper
			watchedPair(b, &r)
			l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
			require.NoError(b, err)
			defer l.Close()
			var total time.Duration
			for b.Loop() {
				total += hangUpAll(b, &r, l, n)
			}
			b.ReportMetric(0, "ns/op") // most of it is connecting
			b.ReportMetric(float64(total.Nanoseconds())/float64(b.N), "ns/hangup")
		})
	}
}

// hangUpAll returns how long it takes until the hang-up of n connections is reported.
func hangUpAll(b *testing.B, r *reaper.Reaper, l *net.TCPListener, n int) time.Duration {
	called := make(chan error, n)
	var servers []*net.TCPConn
	for range n {
		c, s, err := connect(l)
		require.NoError(b, err)
		defer c.Close()
		w, err := begin(b, r, c, func(err error) { called <- err })
		require.NoError(b, err)
		defer w.Stop()
		servers = append(servers, s)
	}
	began := time.Now()
	for _, s := range servers {
		_ = s.Close()
	}
	for range servers {
		wait(b, called)
	}
	return time.Since(began)
}
