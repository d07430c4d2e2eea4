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

// A counted is a connection that counts those who use it.
type counted struct {
	holders atomic.Int32
	closed  atomic.Bool
	opens   *atomic.Int64
}

func (c *counted) Close() error {
	if c.closed.Swap(true) {
		panic("closed twice")
	}
	c.opens.Add(-1)
	return nil
}

// A crowd uses a pool at random, all at once.
type crowd struct {
	*testing.T
	pool           *pool.Pool[int, *counted]
	limit, sharing int
	opens          atomic.Int64 // connections that are not closed
	served, failed atomic.Int64
}

const (
	crowdKeys    = 3
	crowdWorkers = 24
	crowdRounds  = 300
)

// Dials that fail, are slow or cancelled, contexts that end, releases, discards, retirements, hijacks: at every
// moment the limits hold and the figures agree; in the end nobody was lost and nothing is left.
func TestRandomSchedules(t *testing.T) {
	t.Run("one at a time", func(t *testing.T) { runCrowd(&crowd{T: t, limit: 4, sharing: 1}) })
	t.Run("shared", func(t *testing.T) { runCrowd(&crowd{T: t, limit: 2, sharing: 3}) })
}

func runCrowd(c *crowd) {
	seed := rand.Uint64()
	c.Logf("seed %d", seed)
	c.pool = &pool.Pool[int, *counted]{
		Dial:           c.dial,
		MaxConnsPerKey: c.limit, MaxIdle: 3,
		IdleTimeout: 2 * time.Millisecond, MaxLifetime: 20 * time.Millisecond, DialTimeout: 5 * time.Millisecond,
		OnOpen: func(conn *counted) {
			if rand.IntN(50) == 0 {
				c.pool.Retire(conn, "early")
			}
		},
	}
	if c.sharing > 1 {
		c.pool.Shared = func(key int) bool { return key > 0 }
		c.pool.Admit = func(_ *counted, leases int) bool { return leases <= c.sharing && rand.IntN(20) > 0 }
	}
	var wg sync.WaitGroup
	for w := range crowdWorkers {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(w)))
			for range crowdRounds {
				c.use(r)
				c.check()
			}
		})
	}
	wg.Wait()
	assert.EqualValues(c, crowdWorkers*crowdRounds, c.served.Load()+c.failed.Load())
	assert.NotZero(c, c.served.Load())
	assert.NotZero(c, c.failed.Load())
	require.NoError(c, c.pool.Close())
	s := c.pool.Stats()
	assert.Equal(c, pool.Gauges{}, s.Gauges)
	assert.Empty(c, s.Keys)
	var closes int64
	for _, n := range s.Closes {
		closes += n
	}
	assert.Equal(c, s.Dials-s.DialErrors, closes+s.Hijacks, "each connection was closed once or hijacked")
	assert.Zero(c, c.opens.Load())
}

func (c *crowd) dial(ctx context.Context, _ int) (*counted, error) {
	switch rand.IntN(8) {
	case 0:
		return nil, errDial
	case 1:
		<-ctx.Done()
		return nil, ctx.Err()
	case 2:
		time.Sleep(time.Duration(rand.IntN(1000)) * time.Microsecond)
	}
	c.opens.Add(1)
	return &counted{opens: &c.opens}, nil
}

// use acquires a connection, if its context does not end before, and does something with it.
func (c *crowd) use(r *rand.Rand) {
	ctx, cancel := context.WithTimeout(c.Context(), time.Duration(r.IntN(3000))*time.Microsecond)
	defer cancel()
	l, err := c.pool.Acquire(ctx, r.IntN(crowdKeys))
	if err != nil {
		c.failed.Add(1)
		var retired *pool.RetiredError
		if !errors.Is(err, errDial) && !errors.Is(err, context.DeadlineExceeded) && !errors.As(err, &retired) {
			c.Errorf("unexpected error %v", err)
		}
		return
	}
	c.served.Add(1)
	conn := l.Conn()
	if n := conn.holders.Add(1); int(n) > c.sharing || conn.closed.Load() {
		c.Errorf("a connection with %d holders, closed: %v", n, conn.closed.Load())
	}
	if r.IntN(4) == 0 {
		time.Sleep(time.Duration(r.IntN(500)) * time.Microsecond)
	}
	conn.holders.Add(-1)
	switch r.IntN(12) {
	case 0:
		l.Discard("random")
	case 1:
		c.pool.Retire(conn, "random")
		l.Release()
	case 2:
		if l.Hijack() {
			_ = conn.Close()
		} else {
			l.Release()
		}
	case 3:
		c.pool.Wake(conn)
		l.Release()
	case 4:
		l.Release()
		c.pool.CloseOldestIdle(1)
	default:
		l.Release()
	}
	if l.Release() {
		c.Errorf("a lease ended twice")
	}
}

// check looks at the figures of one moment.
func (c *crowd) check() {
	s := c.pool.Stats()
	var sum pool.Gauges
	for _, g := range s.Keys {
		limited := c.sharing == 1 || g.Key == 0 // of others, those that are retired count no more
		if limited && g.Open+g.Dialing > c.limit || g.Leases > g.Leased*c.sharing || g.Idle > 0 && g.Waiting > 0 {
			c.Errorf("%+v", g)
		}
		sum.Open += g.Open
		sum.Idle += g.Idle
		sum.Leased += g.Leased
		sum.Leases += g.Leases
		sum.Dialing += g.Dialing
		sum.Waiting += g.Waiting
	}
	if sum != s.Gauges || s.Open != s.Idle+s.Leased || s.Idle > 3 {
		c.Errorf("the keys together: %+v, but %+v", sum, s.Gauges)
	}
}
