package pool

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

type closer struct{ _ int } // with a size, or all would be one

func (*closer) Close() error { return nil }

// Whoever finds one connection too old, and leases another, has no lease where OnClose unwinds its goroutine: nobody would end it.
func TestALeaseIsNotLostWhereOnCloseUnwinds(t *testing.T) {
	p := Pool[string, *closer]{
		Dial:        func(context.Context, string) (*closer, error) { return new(closer), nil },
		MaxLifetime: time.Hour,
		OnClose:     func(*closer, Reason, time.Duration) { runtime.Goexit() },
	}
	var leases [2]Lease[string, *closer]
	for i := range leases {
		var err error
		leases[i], err = p.Acquire(t.Context(), "a")
		require.NoError(t, err)
	}
	for _, l := range leases {
		l.Release()
	}
	p.core.mu.Lock()
	p.core.lifetimes[p.core.idle.last.rank].ends = 0 // and its timer is late
	p.core.mu.Unlock()
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		p.TryAcquire("a")
	}()
	<-exited
	assert.Equal(t, Gauges{Open: 1, Idle: 1}, p.Total())
	p.core.cfg.onClose = nil
	require.NoError(t, p.Close())
}
