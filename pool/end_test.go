package pool_test

import (
	"context"
	"errors"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/pool"
)

// Close and Shutdown are called many times at once, with a lease out, a Close of a connection that takes 3 s and a dial that does not
// listen for 5 s: each Close returns when dials and closes are over, each Shutdown when the lease is, or when its context ends.
func TestManyEndsAtOnce(t *testing.T) {
	tell(t, func(s *story) { s.gate = make(chan error, 4) }, func(s *story) {
		s.gate <- nil
		s.gate <- nil
		held, slow := s.acquire("k"), s.acquire("k")
		slow.Conn().hang = make(chan struct{})
		slow.Release()
		s.deaf.Store(true)
		waiting := s.queue(s.Context(), "other")
		time.AfterFunc(3*time.Second, func() { close(slow.Conn().hang) })
		time.AfterFunc(5*time.Second, func() { s.gate <- nil })
		time.AfterFunc(7*time.Second, func() { held.Release() })
		enough := errors.New("enough")
		ctx, cancel := context.WithTimeoutCause(s.Context(), time.Second, enough)
		defer cancel()
		began := time.Now()
		var ends sync.WaitGroup
		for range 3 {
			ends.Go(func() {
				assert.NoError(s, s.Close())
				assert.Equal(s, 5*time.Second, time.Since(began))
			})
			ends.Go(func() {
				assert.Equal(s, enough, s.Shutdown(ctx))
				assert.Equal(s, time.Second, time.Since(began))
				assert.NoError(s, s.Shutdown(s.Context()))
				assert.Equal(s, 7*time.Second, time.Since(began))
				assert.NoError(s, s.Close())
			})
			ends.Go(s.CloseIdle)
		}
		ends.Wait()
		require.True(s, waiting.isDone())
		assert.ErrorIs(s, waiting.err, pool.ErrClosed)
		closes := s.Stats().Closes
		assert.EqualValues(s, 3, closes[pool.Closed]+closes[pool.IdleClosed]) // the idle one by whoever came first
	})
}

// A pool that was never used ends as well, and stays closed.
func TestEndOfAnUnusedPool(t *testing.T) {
	tell(t, nil, func(s *story) {
		require.NoError(s, s.Shutdown(s.Context()))
		require.NoError(s, s.Close())
		_, err := s.Acquire(s.Context(), "k")
		assert.ErrorIs(s, err, pool.ErrClosed)
		s.wantDials(0)
	})
}

// A pool is closed while a crowd uses it: everybody gets a connection or ErrClosed, and each connection is closed once.
func TestCloseAmongMany(t *testing.T) {
	for range 100 {
		var opens atomic.Int64
		p := &pool.Pool[int, *counted]{MaxConnsPerKey: 2, Dial: func(context.Context, int) (*counted, error) {
			opens.Add(1)
			return &counted{opens: &opens}, nil
		}}
		var crowd sync.WaitGroup
		for i := range 8 {
			crowd.Go(func() {
				for {
					l, err := p.Acquire(t.Context(), i%2)
					if err != nil {
						assert.ErrorIs(t, err, pool.ErrClosed)
						return
					}
					runtime.Gosched()
					if i%3 == 0 {
						p.Retire(l.Conn(), "x")
					}
					l.Release()
				}
			})
		}
		runtime.Gosched()
		crowd.Go(func() { assert.NoError(t, p.Close()) })
		assert.NoError(t, p.Shutdown(t.Context()))
		assert.Zero(t, opens.Load(), "Shutdown has returned")
		crowd.Wait()
		assert.Equal(t, pool.Gauges{}, p.Stats().Gauges)
	}
}

// Callbacks may call the pool, whatever they ask for and whenever: nothing deadlocks, and no connection is closed twice.
func TestCallbacksCallBack(t *testing.T) {
	tell(t, func(s *story) {
		s.MaxConnsPerKey, s.MaxIdle = 2, 1
		count := s.OnClose
		everything := func(c *conn) {
			s.Stats()
			s.Conns("k")
			s.Wake(c)
			if l, ok := s.TryAcquire("other"); ok {
				l.Release()
			}
			s.Retire(c, "by a callback")
		}
		s.OnOpen = func(c *conn) {
			if c.number%3 == 0 {
				everything(c)
			}
		}
		s.OnClose = func(c *conn, why pool.Reason, age time.Duration) {
			everything(c)
			count(c, why, age)
		}
		s.OnWait = func(string) { s.Stats() }
		s.Admit = func(c *conn, leases int) bool {
			if c.number%5 == 0 {
				everything(c)
			}
			return leases <= 2
		}
		s.Shared = func(string) bool { return len(s.Conns("k")) > 1 }
	}, func(s *story) {
		var conns []*conn
		for range 30 {
			l, err := s.Acquire(s.Context(), "k")
			var retired *pool.RetiredError
			if errors.As(err, &retired) {
				continue
			}
			require.NoError(s, err)
			conns = append(conns, l.Conn())
			more, ok := s.TryAcquire("k")
			s.acquireAny("other")
			l.Release()
			if ok {
				more.Discard("x")
			}
		}
		require.NoError(s, s.Close())
		for _, c := range conns {
			assert.EqualValues(s, 1, c.closes.Load())
		}
	})
}

// acquireAny acquires and releases, whether or not the connection was retired at once.
func (s *story) acquireAny(key string) {
	if l, err := s.Acquire(s.Context(), key); err == nil {
		l.Release()
	}
	synctest.Wait()
}

// Callbacks may close idle connections, as a dial does that finds no descriptor left: that waits for these connections alone.
func TestCallbacksCloseIdleConnections(t *testing.T) {
	p := &pool.Pool[string, net.Conn]{}
	p.Dial = func(_ context.Context, key string) (net.Conn, error) {
		if key == "short" {
			assert.Equal(t, 1, p.CloseOldestIdle(1))
		}
		client, _ := net.Pipe()
		return client, nil
	}
	p.OnClose = func(net.Conn, pool.Reason, time.Duration) { p.CloseIdle() }
	var leases []pool.Lease[string, net.Conn]
	for range 3 {
		l, err := p.Acquire(t.Context(), "k")
		require.NoError(t, err)
		leases = append(leases, l)
	}
	for _, l := range leases {
		l.Release()
	}
	l, err := p.Acquire(t.Context(), "short")
	require.NoError(t, err)
	assert.Equal(t, pool.Gauges{Open: 1, Leased: 1, Leases: 1}, p.Total(), "the others were closed by OnClose of the first")
	l.Discard("done")
	require.NoError(t, p.Close())
}
