package pool_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/pool"
)

func benchPool(b *testing.B, limit int) *pool.Pool[string, *conn] {
	p := &pool.Pool[string, *conn]{
		Dial:           func(context.Context, string) (*conn, error) { return &conn{}, nil },
		IdleTimeout:    time.Minute,
		MaxConnsPerKey: limit,
	}
	b.Cleanup(func() { require.NoError(b, p.Close()) })
	l, err := p.Acquire(b.Context(), "k")
	require.NoError(b, err)
	l.Release()
	b.ReportAllocs()
	return p
}

func BenchmarkTryAcquireRelease(b *testing.B) {
	p := benchPool(b, 0)
	for b.Loop() {
		l, ok := p.TryAcquire("k")
		if !ok {
			b.Fatal("no idle connection")
		}
		l.Release()
	}
}

func BenchmarkAcquireReleaseParallel(b *testing.B) {
	p := benchPool(b, 0)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			l, err := p.Acquire(b.Context(), "k")
			if err != nil {
				b.Error(err)
				return
			}
			l.Release()
		}
	})
}

// BenchmarkContended has more goroutines than connections.
func BenchmarkContended(b *testing.B) {
	p := benchPool(b, 2)
	b.SetParallelism(8)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			l, err := p.Acquire(b.Context(), "k")
			if err != nil {
				b.Error(err)
				return
			}
			l.Release()
		}
	})
}
