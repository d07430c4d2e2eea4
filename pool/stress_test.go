package pool_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/pool"
)

// A counted is a connection that knows how many of its kind are open.
type counted struct {
	open   *atomic.Int64
	closed atomic.Bool
	holder atomic.Int32
}

func (c *counted) Close() error {
	if !c.closed.Swap(true) {
		c.open.Add(-1)
	}
	return nil
}

// Random users of a pool: dials that fail, are slow or cancelled, contexts that end, releases, discards, retirements. At
// every moment the limit holds and each connection has one holder; in the end nobody was lost and nothing is left.
func TestRandomSchedules(t *testing.T) {
	const limit, workers, rounds = 4, 24, 400
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	var opens [3]atomic.Int64 // by key, until OnClose
	var p *pool.Pool[int, *counted]
	p = &pool.Pool[int, *counted]{
		MaxConnsPerKey: limit,
		MaxIdle:        5,
		IdleTimeout:    2 * time.Millisecond,
		MaxLifetime:    20 * time.Millisecond,
		DialTimeout:    5 * time.Millisecond,
		Dial: func(ctx context.Context, key int) (*counted, error) {
			opens[key].Add(1)
			for _, g := range p.Stats().Keys {
				if g.Open+g.Dialing > limit {
					t.Errorf("key %d: %+v", g.Key, g)
				}
			}
			switch rand.IntN(8) {
			case 0:
				opens[key].Add(-1)
				return nil, errDial
			case 1:
				<-ctx.Done()
				opens[key].Add(-1)
				return nil, ctx.Err()
			case 2:
				time.Sleep(time.Duration(rand.IntN(1000)) * time.Microsecond)
			}
			return &counted{open: &opens[key]}, nil
		},
		OnClose: func(c *counted, _ pool.Reason) { _ = c.Close() },
	}
	var served, failed atomic.Int64
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(w)))
			for range rounds {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(r.IntN(3000))*time.Microsecond)
				l, err := p.Acquire(ctx, r.IntN(len(opens)))
				if err != nil {
					failed.Add(1)
					if !errors.Is(err, errDial) && !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("unexpected error %v", err)
					}
					cancel()
					continue
				}
				served.Add(1)
				c := l.Conn()
				if n := c.holder.Add(1); n != 1 || c.closed.Load() {
					t.Errorf("a connection with %d holders, closed: %v", n, c.closed.Load())
				}
				if r.IntN(4) == 0 {
					time.Sleep(time.Duration(r.IntN(500)) * time.Microsecond)
				}
				c.holder.Add(-1)
				switch r.IntN(10) {
				case 0:
					l.Discard("random")
				case 1:
					p.Retire(c, "random")
					l.Release()
				default:
					l.Release()
				}
				cancel()
			}
		})
	}
	wg.Wait()
	assert.EqualValues(t, workers*rounds, served.Load()+failed.Load())
	assert.NotZero(t, served.Load())
	assert.NotZero(t, failed.Load())
	require.NoError(t, p.Close())
	st := p.Stats()
	assert.Equal(t, pool.Gauges{}, st.Gauges)
	assert.Empty(t, st.Keys)
	var closes int64
	for _, n := range st.Closes {
		closes += n
	}
	assert.Equal(t, st.Dials-st.DialErrors, closes, "each connection that was opened is closed once")
	for key := range opens {
		assert.Zero(t, opens[key].Load(), "connections of key %d", key)
	}
}
