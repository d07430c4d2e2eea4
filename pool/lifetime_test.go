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
// an error otherwise, and to nobody else: also where the timer of another connection finds it first.
func TestMaxLifetimeEndsBeforeTheFirstLease(t *testing.T) {
	for name, sharing := range map[string]func(*story){"one at a time": func(*story) {}, "shared": upTo(9)} {
		for _, timer := range []bool{false, true} {
			t.Run(name+map[bool]string{true: ", timer"}[timer], func(t *testing.T) {
				tell(t, func(s *story) {
					sharing(s)
					s.MaxLifetime = time.Second
					s.OnOpen = func(c *conn) {
						if c.key == "k" {
							time.Sleep(2 * time.Second)
						}
					}
				}, func(s *story) {
					ctx, cancel := context.WithTimeout(s.Context(), time.Minute)
					defer cancel()
					first := s.queue(ctx, "k")
					time.Sleep(200 * time.Millisecond)
					if timer { // which comes when the lifetimes of both have ended
						assert.True(s, s.acquire("other").Release())
					}
					time.Sleep(2 * time.Second)
					synctest.Wait()
					second := s.queue(ctx, "k")
					time.Sleep(2 * time.Second)
					synctest.Wait()
					for _, w := range []*waiting{first, second} {
						if assert.NoError(s, w.err) && assert.NotNil(s, w.lease.Conn()) {
							assert.False(s, w.lease.Reused())
							assert.False(s, w.lease.Release())
						}
					}
					assert.NotSame(s, first.lease.Conn(), second.lease.Conn())
					want := map[pool.Reason]int{pool.Lifetime: 2}
					if timer {
						want[pool.Lifetime]++
					}
					assert.Equal(s, want, s.closed)
				})
			})
		}
	}
}
