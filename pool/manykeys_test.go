package pool_test

import (
	"context"
	"flag"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/pool"
)

var keys = flag.Int("keys", 200_000, "keys of TestManyKeys; a tenth in short mode")

// Very many keys come and go, each for a moment, as a crawler's hosts do: what is known of them at any time is bounded by the idle
// connections, and nothing is left in the end.
func TestManyKeys(t *testing.T) {
	const maxIdle, workers = 100, 2
	n := *keys
	if testing.Short() {
		n /= 10
	}
	var dialed, closed atomic.Int64
	p := &pool.Pool[int, *counted]{
		Dial: func(_ context.Context, key int) (*counted, error) {
			if key%10 == 0 {
				return nil, errDial
			}
			dialed.Add(1)
			return &counted{opens: &closed}, nil
		},
		MaxConnsPerKey: 1, MaxIdle: maxIdle, IdleTimeout: time.Hour, MaxLifetime: time.Hour,
	}
	use := func(first, last int) {
		for key := first; key < last; key++ {
			l, err := p.Acquire(t.Context(), key)
			if key%10 == 0 {
				assert.ErrorIs(t, err, errDial)
				continue
			}
			assert.NoError(t, err)
			if key%3 == 0 {
				p.Retire(l.Conn(), "gone")
			}
			l.Release()
			for dialed.Load()+closed.Load() > 2*maxIdle {
				runtime.Gosched() // on one processor closes would pile up
			}
		}
	}
	useAll := func(first, n int) {
		var wg sync.WaitGroup
		for w := range workers {
			wg.Go(func() { use(first+n/workers*w, first+n/workers*(w+1)) })
		}
		wg.Wait()
	}
	useAll(0, n/10) // the runtime keeps what its goroutines were made of, however many there were at once
	p.CloseIdle()
	before := liveHeap()
	useAll(n/10, n-n/10)
	s := p.Stats()
	assert.LessOrEqual(t, len(s.Keys), maxIdle)
	assert.LessOrEqual(t, s.Open, maxIdle)
	p.CloseIdle()
	assert.Empty(t, p.Stats().Keys)
	assert.Equal(t, pool.Gauges{}, p.Stats().Gauges)
	const goroutines = 1 << 20 // of more of them at once than before: on a busy machine closes pile up
	require.Eventually(t, func() bool { return liveHeap()-before < 32*int64(n)+goroutines }, 10*time.Second, time.Millisecond, "something of each key is left")
	require.NoError(t, p.Close())
	assert.EqualValues(t, s.Dials-s.DialErrors, -closed.Load())
	runtime.KeepAlive(p)
}

// liveHeap returns how many bytes live on the heap.
func liveHeap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
