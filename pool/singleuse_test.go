package pool_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/pool"
)

// With SingleUse everybody gets the connection of the dial that has the values of their own context, whichever is done first.
func TestSingleUseGivesToWhoDialed(t *testing.T) {
	var gates map[string]chan error
	tell(t, func(s *story) {
		gates = byName(s)
		s.SingleUse, s.Shared = true, func(string) bool { return true }
	}, func(s *story) {
		a, b, c := s.queue(s.named("a"), "k"), s.queue(s.named("b"), "k"), s.queue(s.named("c"), "k")
		gates["c"] <- nil
		require.True(s, c.isDone())
		gates["b"] <- errDial
		require.True(s, b.isDone())
		assert.Equal(s, errDial, b.err)
		assert.False(s, a.isDone())
		gates["a"] <- nil
		require.True(s, a.isDone())
		assert.EqualValues(s, 3, c.lease.Conn().number)
		assert.EqualValues(s, 1, a.lease.Conn().number)
		a.lease.Release()
		assert.False(s, c.lease.Release())
		s.wantClosed(pool.Evicted, 2)
	})
}

// With SingleUse nobody inherits: who waits under MaxConnsPerKey dials when a place is free, whether that was a dial's whose Acquire has
// left, or a connection's that was released.
func TestSingleUseLeavesNothing(t *testing.T) {
	var gates map[string]chan error
	var names []string
	tell(t, func(s *story) {
		gates, names = byName(s), nil
		s.SingleUse, s.MaxConnsPerKey = true, 1
		s.Admit = func(*conn, int) bool { return true }
		dial := s.Dial
		s.Dial = func(ctx context.Context, key string) (*conn, error) {
			names = append(names, ctx.Value(name{}).(string)) // one at a time
			return dial(ctx, key)
		}
	}, func(s *story) {
		ctx, leave := context.WithCancel(s.named("a"))
		a, b, c := s.queue(ctx, "k"), s.queue(s.named("b"), "k"), s.queue(s.named("c"), "k")
		leave()
		require.True(s, a.isDone())
		gates["b"] <- nil
		require.True(s, b.isDone())
		assert.False(s, c.isDone())
		assert.False(s, b.lease.Release())
		s.wantClosed(pool.Evicted, 1)
		gates["c"] <- nil
		require.True(s, c.isDone())
		assert.Equal(s, []string{"a", "b", "c"}, names)
		c.lease.Release()
	})
}

// Who leaves at the moment in which its dial is done leaves that connection to nobody either.
func TestSingleUseIsLeftAtTheEnd(t *testing.T) {
	var gates map[string]chan error
	opening := make(chan struct{})
	tell(t, func(s *story) {
		gates = byName(s)
		s.SingleUse, s.MaxConnsPerKey = true, 1
		opening = make(chan struct{})
		s.OnOpen = func(*conn) { <-opening }
	}, func(s *story) {
		ctx, leave := context.WithCancel(s.named("a"))
		a, b := s.queue(ctx, "k"), s.queue(s.named("b"), "k")
		gates["a"] <- nil
		require.False(s, a.isDone())
		leave()
		require.True(s, a.isDone())
		assert.ErrorIs(s, a.err, context.Canceled)
		close(opening)
		assert.False(s, b.isDone())
		s.wantClosed(pool.Unwanted, 1)
		gates["b"] <- nil
		require.True(s, b.isDone())
		b.lease.Release()
	})
}
