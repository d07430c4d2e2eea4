package pool_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/pool"
)

// A connection whose Close hangs is closed in every way that there is. Meanwhile whoever acquires, of its key or of another, gets a
// connection, retires it, and gets the next; not a moment passes.
func TestASlowCloseDelaysNobodyWhateverTheReason(t *testing.T) {
	for name, tt := range map[string]struct {
		set func(*story)
		end func(s *story, slow lease)
		why pool.Reason
	}{
		"discarded": {nil, func(_ *story, slow lease) { slow.Discard("x") }, "x"},
		"retired idle": {nil, func(s *story, slow lease) {
			slow.Release()
			s.Retire(slow.Conn(), "x")
		}, "x"},
		"retired in use": {nil, func(s *story, slow lease) {
			s.Retire(slow.Conn(), "x")
			slow.Release()
		}, "x"},
		"evicted": {func(s *story) { s.MaxIdle = 1 }, func(s *story, slow lease) {
			slow.Release()
			s.acquire("other").Release()
		}, pool.Evicted},
		"evicted of its key": {func(s *story) { s.MaxConnsPerKey, s.MaxIdlePerKey = 2, 1 }, func(s *story, slow lease) {
			second := s.acquire("slow")
			slow.Release()
			second.Release()
		}, pool.Evicted},
		"idle for too long": {func(s *story) { s.IdleTimeout = time.Minute }, func(_ *story, slow lease) {
			slow.Release()
			time.Sleep(time.Minute)
		}, pool.IdleTimeout},
		"too old": {func(s *story) { s.MaxLifetime = time.Minute }, func(_ *story, slow lease) {
			time.Sleep(time.Minute)
			slow.Release()
		}, pool.Lifetime},
		"CloseIdle": {nil, func(s *story, slow lease) {
			slow.Release()
			go s.CloseIdle()
		}, pool.IdleClosed},
		"CloseOldestIdle": {nil, func(s *story, slow lease) {
			slow.Release()
			go s.CloseOldestIdle(1)
		}, pool.IdleClosed},
	} {
		t.Run(name, func(t *testing.T) {
			tell(t, func(s *story) {
				s.MaxConnsPerKey = 1
				if tt.set != nil {
					tt.set(s)
				}
			}, func(s *story) {
				slow := s.acquire("slow")
				slow.Conn().hang = make(chan struct{})
				tt.end(s, slow)
				s.wantClosed(tt.why, 1)
				began := time.Now()
				for _, key := range []string{"slow", "other", "slow", "new"} {
					l := s.acquire(key)
					s.Retire(l.Conn(), "done")
					l.Release()
				}
				assert.Zero(s, time.Since(began))
				assert.Zero(s, slow.Conn().closes.Load())
				close(slow.Conn().hang)
			})
		})
	}
}

// One who waits for the place of a connection whose Close hangs has it at once, and so has who comes while a dial that nobody wants any
// more yields such a connection.
func TestASlowCloseGivesItsPlaceAway(t *testing.T) {
	tell(t, func(s *story) { s.MaxConnsPerKey = 1 }, func(s *story) {
		slow := s.acquire("k")
		slow.Conn().hang = make(chan struct{})
		w := s.queue(s.Context(), "k")
		slow.Discard("x")
		require.True(s, w.isDone())
		require.NoError(s, w.err)
		w.lease.Release()
		close(slow.Conn().hang)
	})
	var hang chan struct{}
	tell(t, func(s *story) {
		hang = make(chan struct{})
		s.MaxConnsPerKey, s.MaxIdlePerKey = 1, -1
		dial := s.dial
		s.Dial = func(ctx context.Context, key string) (*conn, error) {
			c, _ := dial(context.WithoutCancel(ctx), key)
			if c.number == 1 {
				c.hang = hang
			}
			return c, nil
		}
		s.gate = make(chan error, 1)
	}, func(s *story) {
		ctx, cancel := context.WithCancel(s.Context())
		w := s.queue(ctx, "k")
		cancel()
		require.True(s, w.isDone())
		second := s.queue(s.Context(), "k")
		s.gate <- nil // the dial that was cancelled ends
		s.gate <- nil
		synctest.Wait()
		require.True(s, second.isDone())
		require.NoError(s, second.err)
		second.lease.Release()
		close(hang)
	})
}
