package pool

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A group knows how many wait without a dial and were not told of it, whatever happens: who counts too few tells some of them never, and who
// counts too many asks all of them after each dial, while holding the lock.
func TestUntold(t *testing.T) {
	p := &Pool[string, *nothing]{
		Dial: func(ctx context.Context, _ string) (*nothing, error) {
			select {
			case <-time.After(rand.N(200 * time.Microsecond)):
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			}
			if rand.N(4) == 0 {
				return nil, errors.New("refused")
			}
			return &nothing{}, nil
		},
		Admit:          func(_ *nothing, leases int) bool { return leases <= 2 },
		Shared:         func(string) bool { return rand.N(2) == 0 },
		OnWait:         func(string) {},
		MaxConnsPerKey: 2,
	}
	c := p.running()
	waited := 0
	agree := func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, g := range c.groups.m {
			untold := 0
			for w := g.waiters.first; w != nil; w = w.place.next {
				if w.dial == nil && !w.told {
					untold++
				}
			}
			waited += untold
			assert.Equal(t, untold, g.untold)
		}
	}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			for range 200 {
				ctx, cancel := context.WithTimeout(t.Context(), rand.N(2*time.Millisecond))
				l, err := p.Acquire(ctx, "k")
				cancel()
				agree()
				switch {
				case err != nil:
				case rand.N(2) == 0:
					l.Discard("enough")
				default:
					l.Release()
				}
				agree()
			}
		})
	}
	wg.Wait()
	assert.Positive(t, waited)
	require.NoError(t, p.Close())
}
