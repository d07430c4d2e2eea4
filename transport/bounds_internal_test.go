package transport

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// What all bodies together absorb never exceeds its bound, whoever asks at once, and comes back to nothing.
func TestAbsorptionIsBounded(t *testing.T) {
	var a absorption
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			var grants []int64
			for range 1000 {
				grants = append(grants, a.grant(1<<20))
				assert.LessOrEqual(t, a.held.Load(), int64(maxAbsorbTotal))
				if len(grants) > 20 {
					a.giveBack(grants[0])
					grants = grants[1:]
				}
			}
			for _, n := range grants {
				a.giveBack(n)
			}
		})
	}
	wg.Wait()
	assert.Zero(t, a.held.Load())
	assert.EqualValues(t, maxAbsorbTotal, a.grant(1<<40))
	assert.Zero(t, a.grant(1))
}

// No more connections of a route than the bound are salvaged at once; the end of one makes room; after close there is none.
func TestSalvagesAreBounded(t *testing.T) {
	var v salvor
	r := route{scheme: "http", host: "a.example"}
	var conns []*http1Conn
	for range maxSalvagesPerRoute {
		conns = append(conns, &http1Conn{account: &account{route: r}})
		assert.True(t, v.begin(conns[len(conns)-1]))
	}
	assert.False(t, v.begin(&http1Conn{account: &account{route: r}}))
	assert.True(t, v.begin(&http1Conn{account: &account{route: route{scheme: "http", host: "b.example"}}}))
	v.end(conns[0])
	assert.True(t, v.begin(conns[0]))
	for _, hc := range conns {
		v.end(hc)
	}
	assert.Len(t, v.count, 1)
	v.closed.Store(true)
	assert.False(t, v.begin(conns[0]))
}

// Of an origin a leak is told once a minute per stack, and only so many stacks; what was left out is counted in the next line.
func TestLeakLogIsBounded(t *testing.T) {
	l := &leakLog{told: map[uint64]time.Time{}}
	now := time.Now()
	for i := range maxLeakStacks {
		ok, suppressed := l.allowed(fmt.Sprint("stack ", i), now)
		assert.True(t, ok)
		assert.Zero(t, suppressed)
	}
	for _, stack := range []string{"stack 0", "one more"} {
		ok, _ := l.allowed(stack, now.Add(leakLogEvery-1))
		assert.False(t, ok, stack)
	}
	ok, suppressed := l.allowed("one more", now.Add(leakLogEvery))
	assert.True(t, ok)
	assert.Equal(t, 2, suppressed)
	assert.Len(t, l.told, 1, "what a minute ago was told is forgotten")
}
