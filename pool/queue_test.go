package pool_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/pool"
)

// Twenty wait in a known order for one connection, which is handed on, closed, or cannot be dialed, while some of them give up: those who
// stay are served in their order, every one of them.
func TestQueueKeepsItsOrder(t *testing.T) {
	const rounds, waiters = 150, 20
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range rounds {
		var fails atomic.Int32
		p := &pool.Pool[string, *conn]{MaxConnsPerKey: 1, Dial: func(context.Context, string) (*conn, error) {
			if fails.Add(1)%4 == 0 {
				return nil, errDial
			}
			return &conn{}, nil
		}}
		first, err := p.Acquire(t.Context(), "k")
		require.NoError(t, err)
		var served, gaveUp, failed []int
		var mu sync.Mutex // guards those who were not served; those who are hold the connection
		var all sync.WaitGroup
		var cancels []context.CancelFunc
		for i := range waiters {
			ctx, cancel := context.WithCancel(t.Context())
			cancels = append(cancels, cancel)
			discards := r.IntN(3) == 0
			all.Go(func() {
				l, err := p.Acquire(ctx, "k")
				if err != nil {
					mu.Lock()
					defer mu.Unlock()
					if errors.Is(err, errDial) {
						failed = append(failed, i)
					} else {
						gaveUp = append(gaveUp, i)
					}
					return
				}
				served = append(served, i)
				if discards {
					l.Discard("x")
				} else {
					l.Release()
				}
			})
			for p.Stats().Waiting <= i {
				runtime.Gosched()
			}
		}
		impatient := r.Perm(waiters)[:r.IntN(waiters)]
		all.Go(func() {
			for _, i := range impatient {
				cancels[i]()
			}
		})
		first.Release()
		all.Wait()
		assert.True(t, slices.IsSorted(served), "%v", served)
		for _, i := range gaveUp {
			assert.Contains(t, impatient, i)
		}
		assert.Equal(t, waiters, len(served)+len(gaveUp)+len(failed))
		for _, cancel := range cancels {
			cancel()
		}
		require.NoError(t, p.Close())
	}
}

// A tally counts, from outside, what a limit bounds: calls of Dial that run, and holders. The pool counts each of them from
// earlier on, and longer.
type tally struct {
	*testing.T
	limit, now, most atomic.Int32
}

func (c *tally) enter() {
	n := c.now.Add(1)
	if n > c.limit.Load() {
		c.Errorf("%d at once", n)
	}
	for most := c.most.Load(); n > most && !c.most.CompareAndSwap(most, n); most = c.most.Load() {
	}
}

func (c *tally) leave() { c.now.Add(-1) }

// Dials fail, hang until they are cancelled, or are slow; contexts end, connections are closed, retired and taken out. The limit is
// never passed, whoever counts; whoever waits has a reason to; and those who wait without a bound all get an answer.
func TestLimitNeverHangsNorOvershoots(t *testing.T) {
	t.Run("dials are kept", func(t *testing.T) { crowdTheLimit(t, 2) })
	t.Run("dials are cancelled", func(t *testing.T) { crowdTheLimit(t, -1) })
}

func crowdTheLimit(t *testing.T, maxIdle int) {
	const limit, workers, rounds = 3, 16, 400
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	count := &tally{T: t}
	count.limit.Store(limit)
	p := &pool.Pool[string, *conn]{
		MaxConnsPerKey: limit, MaxIdlePerKey: maxIdle, IdleTimeout: time.Millisecond, MaxLifetime: 10 * time.Millisecond, DialTimeout: 3 * time.Millisecond,
		Dial: func(ctx context.Context, _ string) (*conn, error) {
			count.enter()
			defer count.leave()
			switch rand.IntN(6) {
			case 0:
				return nil, errDial
			case 1:
				<-ctx.Done()
				time.Sleep(100 * time.Microsecond) // it counts until it has returned
				return nil, ctx.Err()
			case 2:
				time.Sleep(time.Duration(rand.IntN(500)) * time.Microsecond)
			}
			return &conn{}, nil
		},
	}
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(w)))
			for range rounds {
				ctx, cancel := context.WithCancel(t.Context())
				if r.IntN(3) == 0 {
					time.AfterFunc(time.Duration(r.IntN(2000))*time.Microsecond, cancel)
				}
				l, err := p.Acquire(ctx, "k")
				cancelled := ctx.Err() != nil
				cancel()
				if err != nil {
					if errors.Is(err, context.Canceled) && !cancelled {
						t.Error("cancelled, but not by us")
					}
					continue
				}
				count.enter()
				runtime.Gosched()
				count.leave()
				end(p, l, r.IntN(6))
				for _, g := range p.Stats().Keys {
					if full := g.Open+g.Dialing == limit; g.Open+g.Dialing > limit || g.Waiting > 0 && g.Dialing < g.Waiting && !full {
						t.Errorf("they wait for nothing, or there are too many: %+v", g.Gauges)
					}
				}
			}
		})
	}
	wg.Wait()
	assert.EqualValues(t, limit, count.most.Load(), "the limit is used")
	require.NoError(t, p.Close())
	assert.Equal(t, pool.Gauges{}, p.Stats().Gauges)
	assert.Zero(t, count.now.Load())
}

// end ends a lease in one of six ways.
func end(p *pool.Pool[string, *conn], l lease, how int) {
	switch how {
	case 0:
		l.Discard("x")
	case 1:
		p.Retire(l.Conn(), "x")
		l.Release()
	case 2:
		l.Hijack()
	case 3:
		l.Release()
		p.CloseOldestIdle(1)
	default:
		l.Release()
	}
}
