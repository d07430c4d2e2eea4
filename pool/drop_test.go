package pool_test

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/pool"
)

// A Pool that is dropped without Close is collected, and its idle connections are closed; a lease goes on.
func TestDroppedPoolIsCollected(t *testing.T) {
	idle, held := func() (*conn, lease) {
		p := &pool.Pool[string, *conn]{
			Dial:        func(context.Context, string) (*conn, error) { return &conn{}, nil },
			IdleTimeout: time.Hour,
		}
		a, err := p.Acquire(t.Context(), "k")
		require.NoError(t, err)
		b, err := p.Acquire(t.Context(), "k")
		require.NoError(t, err)
		a.Release()
		return a.Conn(), b
	}()
	require.Eventually(t, func() bool {
		runtime.GC()
		return idle.closes.Load() == 1
	}, 10*time.Second, time.Millisecond)
	assert.Zero(t, held.Conn().closes.Load())
	assert.False(t, held.Release())
	require.Eventually(t, func() bool { return held.Conn().closes.Load() == 1 }, 10*time.Second, time.Millisecond)
}

// A Pool that was closed is collected although its Dial refers to it, and so is all else that Dial refers to.
func TestClosedPoolIsCollected(t *testing.T) {
	for name, end := range map[string]func(p *pool.Pool[string, *conn]) error{
		"Close":    (*pool.Pool[string, *conn]).Close,
		"Shutdown": func(p *pool.Pool[string, *conn]) error { return p.Shutdown(context.Background()) },
	} {
		t.Run(name, func(t *testing.T) {
			owner := func() weak.Pointer[pool.Pool[string, *conn]] {
				p := &pool.Pool[string, *conn]{IdleTimeout: time.Hour}
				p.Dial = func(context.Context, string) (*conn, error) {
					p.Stats()
					return &conn{}, nil
				}
				l, err := p.Acquire(t.Context(), "k")
				require.NoError(t, err)
				setTimers(t)
				l.Release()
				setTimers(t) // among which the runtime keeps one that is stopped now
				require.NoError(t, end(p))
				return weak.Make(p)
			}()
			// No timer of this test's is to fire meanwhile: for that the runtime may look through the others.
			for i := 0; i < 100 && owner.Value() != nil; i++ {
				runtime.GC()
			}
			assert.Nil(t, owner.Value())
		})
	}
}

// setTimers sets some timers for the rest of the test.
func setTimers(t *testing.T) {
	for range 100 {
		timer := time.AfterFunc(time.Hour, func() {})
		t.Cleanup(func() { timer.Stop() })
	}
}

// A Pool whose Acquire waits is in use, even if nobody else knows it.
func TestAPoolIsKeptByWhoWaits(t *testing.T) {
	gate := make(chan struct{})
	got := make(chan error)
	go func() {
		p := &pool.Pool[string, *conn]{
			Dial: func(context.Context, string) (*conn, error) { <-gate; return &conn{}, nil },
		}
		l, err := p.Acquire(context.Background(), "k")
		l.Discard("done")
		got <- err
	}()
	for range 10 {
		runtime.GC()
	}
	close(gate)
	assert.NoError(t, <-got)
}

// A bubbled is a connection that belongs to a bubble: to close it from outside ends the process.
type bubbled struct{ closed chan struct{} }

func (b *bubbled) Close() error { close(b.closed); return nil }

// A Pool that a test forgets in its bubble does no harm when it is collected.
func TestPoolDroppedInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pool.Pool[string, *bubbled]{
			Dial:        func(context.Context, string) (*bubbled, error) { return &bubbled{make(chan struct{})}, nil },
			IdleTimeout: time.Minute,
		}
		l, err := p.Acquire(t.Context(), "k")
		require.NoError(t, err)
		l.Release()
	})
	collected := make(chan struct{})
	runtime.AddCleanup(new([64]int), func(c chan struct{}) { close(c) }, collected)
	require.Eventually(t, func() bool {
		runtime.GC()
		select {
		case <-collected: // cleanups have run since
			return true
		default:
			return false
		}
	}, 10*time.Second, time.Millisecond)
	runtime.GC()
}

// A Pool outlives a bubble in which it was used and of which no connection is left, and goes on in another and outside.
func TestPoolOutlivesABubble(t *testing.T) {
	for name, empty := range map[string]func(*pool.Pool[string, *conn]){
		"closed":  (*pool.Pool[string, *conn]).CloseIdle,
		"expired": func(*pool.Pool[string, *conn]) { time.Sleep(time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			p := &pool.Pool[string, *conn]{
				Dial:        func(context.Context, string) (*conn, error) { return &conn{}, nil },
				IdleTimeout: time.Minute,
			}
			use := func(t *testing.T) {
				l, err := p.Acquire(t.Context(), "k")
				require.NoError(t, err)
				assert.True(t, l.Release())
			}
			for range 2 {
				synctest.Test(t, func(t *testing.T) {
					use(t)
					empty(p)
					synctest.Wait()
					assert.Zero(t, p.Total().Open)
				})
			}
			use(t)
			require.NoError(t, p.Close())
		})
	}
}

// Keys and connections that are gone leave no trace, not even room in a map.
func TestKeysLeaveNoTrace(t *testing.T) {
	p := &pool.Pool[int, *conn]{Dial: func(context.Context, int) (*conn, error) { return &conn{}, nil }}
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	use := func(keys int) {
		leases := make([]pool.Lease[int, *conn], keys)
		for i := range leases {
			var err error
			leases[i], err = p.Acquire(t.Context(), i)
			require.NoError(t, err)
		}
		assert.Len(t, p.Stats().Keys, keys)
		for _, l := range leases {
			require.True(t, l.Hijack())
		}
		assert.Empty(t, p.Stats().Keys)
	}
	use(10)
	before := heap()
	use(20_000)
	assert.Less(t, heap()-before, int64(256<<10), "bytes left")
	require.NoError(t, p.Close())
}
