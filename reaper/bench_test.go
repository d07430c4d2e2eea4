//go:build linux || darwin || dragonfly || freebsd || netbsd || openbsd

package reaper_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/reaper"
)

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

func BenchmarkWatchStop(b *testing.B) {
	var r reaper.Reaper
	other, _ := pair(b)
	keep, err := r.Watch(other, func(error) {})
	require.NoError(b, err)
	defer keep.Stop()
	c, _ := pair(b)
	b.ReportAllocs()
	for b.Loop() {
		w, err := r.Watch(c, func(error) {})
		if err != nil {
			b.Fatal(err)
		}
		w.Stop()
	}
}
