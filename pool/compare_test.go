package pool_test

import (
	"context"
	"io"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/pool"
)

// within wants that f ends.
func within(t *testing.T, f func()) {
	t.Helper()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		f()
	}()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		require.FailNow(t, "it does not end")
	}
}

// A key that no map can hold, or find again, panics, and the pool goes on: who recovers, as servers do, finds it as it was.
func TestAKeyThatCannotBeFoundAgain(t *testing.T) {
	p := &pool.Pool[any, *conn]{Dial: func(context.Context, any) (*conn, error) { return new(conn), nil }}
	for _, key := range []any{[]int{1}, math.NaN(), [1]any{func() {}}} {
		within(t, func() {
			assert.Panics(t, func() { _, _ = p.Acquire(t.Context(), key) })
			assert.Panics(t, func() { p.TryAcquire(key) })
			l, err := p.Acquire(t.Context(), "k")
			assert.NoError(t, err)
			l.Release()
		})
	}
	s := p.Stats()
	assert.EqualValues(t, 1, s.Dials)
	assert.Len(t, s.Keys, 1)
	require.NoError(t, p.Close())
	assert.Empty(t, p.Stats().Keys)
}

// A connection that cannot be compared is none that the pool holds.
func TestRetireWhatCannotBeCompared(t *testing.T) {
	p := &pool.Pool[string, io.Closer]{Dial: func(context.Context, string) (io.Closer, error) { return new(conn), nil }}
	l, err := p.Acquire(t.Context(), "k")
	require.NoError(t, err)
	within(t, func() {
		p.Retire(several{}, "who knows")
		p.Wake(several{})
		p.Retire(nil, "who knows")
		p.Wake(nil)
	})
	assert.True(t, l.Release())
	require.NoError(t, p.Close())
}
