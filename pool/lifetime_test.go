package pool_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/watertight-go/watertight/pool"
)

// A connection whose lifetime ends before OnOpen has returned is lent once to who waited for it, who would wait for ever or be told of
// an error otherwise: also where the timer of another connection finds it first.
func TestMaxLifetimeEndsBeforeTheFirstLease(t *testing.T) {
	for name, sharing := range map[string]func(*story){"one at a time": func(*story) {}, "shared": upTo(9)} {
		t.Run(name, func(t *testing.T) {
			tell(t, func(s *story) {
				sharing(s)
				s.MaxLifetime = time.Second
				opened := 0
				s.OnOpen = func(*conn) {
					if opened++; opened > 1 {
						time.Sleep(2 * time.Second)
					}
				}
			}, func(s *story) {
				assert.True(s, s.acquire("other").Release()) // so there is a timer
				for range 2 {
					ctx, cancel := context.WithTimeout(s.Context(), time.Minute)
					w := s.queue(ctx, "k")
					time.Sleep(2 * time.Second)
					synctest.Wait()
					if assert.NoError(s, w.err) && assert.NotNil(s, w.lease.Conn()) {
						assert.False(s, w.lease.Reused())
						another := s.queue(ctx, "k") // is not given the same
						time.Sleep(2 * time.Second)
						synctest.Wait()
						assert.NotSame(s, w.lease.Conn(), another.lease.Conn())
						assert.False(s, another.lease.Release())
						assert.False(s, w.lease.Release())
					}
					cancel()
				}
				assert.Equal(s, map[pool.Reason]int{pool.Lifetime: 5}, s.closed)
			})
		})
	}
}
