package pool_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/pool"
)

// A conn is a connection that counts what is done to it.
type conn struct {
	key    string
	number int64
	closes atomic.Int32
	opened bool          // by the test that says so
	hang   chan struct{} // Close waits for it; nil: it does not
}

func (c *conn) Close() error {
	if c.hang != nil {
		<-c.hang
	}
	c.closes.Add(1)
	return nil
}

type (
	lease = pool.Lease[string, *conn]
	// A story is a pool with a dialer whose dials end when the test says so.
	story struct {
		*testing.T
		pool.Pool[string, *conn]
		dialed atomic.Int64
		gate   chan error  // a dial takes one value: its error. Nil: dials succeed at once
		deaf   atomic.Bool // dials that begin now do not listen to their context

		mu     sync.Mutex
		closed map[pool.Reason]int
	}
)

// tell runs a story in a bubble, in which time passes only when everybody waits, and wants that nothing is left of the
// pool at its end.
func tell(t *testing.T, set func(*story), f func(*story)) {
	synctest.Test(t, func(t *testing.T) {
		s := &story{T: t, closed: map[pool.Reason]int{}}
		s.Dial = s.dial
		s.OnClose = func(_ *conn, why pool.Reason, _ time.Duration) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.closed[why]++
		}
		if set != nil {
			set(s)
		}
		f(s)
		if s.gate != nil {
			close(s.gate)
		}
		require.NoError(t, s.Close())
		st := s.Stats()
		assert.Equal(t, pool.Gauges{Open: st.Leased, Leased: st.Leased, Leases: st.Leases}, st.Gauges)
	})
}

func (s *story) dial(ctx context.Context, key string) (*conn, error) {
	n := s.dialed.Add(1)
	if s.gate != nil {
		ended := ctx.Done()
		if s.deaf.Load() {
			ended = nil
		}
		select {
		case err := <-s.gate:
			if err != nil {
				return nil, err
			}
		case <-ended:
			return nil, context.Cause(ctx)
		}
	}
	return &conn{key: key, number: n}, nil
}

func (s *story) acquire(key string) lease {
	s.Helper()
	l, err := s.Acquire(s.Context(), key)
	require.NoError(s, err)
	return l
}

// A waiting is an Acquire in progress.
type waiting struct {
	lease lease
	err   error
	done  chan struct{}
}

func (s *story) queue(ctx context.Context, key string) *waiting {
	w := &waiting{done: make(chan struct{})}
	go func() {
		defer close(w.done)
		w.lease, w.err = s.Acquire(ctx, key)
	}()
	synctest.Wait()
	return w
}

func (w *waiting) isDone() bool {
	synctest.Wait()
	select {
	case <-w.done:
		return true
	default:
		return false
	}
}

func (s *story) wantDials(n int64) {
	s.Helper()
	assert.Equal(s, n, s.dialed.Load(), "dials")
}

func (s *story) wantClosed(why pool.Reason, n int) {
	s.Helper()
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	assert.Equal(s, n, s.closed[why], "closed: %s", why)
}

var errDial = errors.New("no route")
