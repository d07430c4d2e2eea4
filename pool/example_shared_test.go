package pool_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/watertight-go/watertight/pool"
)

// A muxConn carries several exchanges at once, as many as its peer allows.
type muxConn struct {
	streams atomic.Int32 // allowed by the peer
	pool    *pool.Pool[string, *muxConn]
}

func (c *muxConn) Close() error { return nil }

// allow is called when the peer allows another number of exchanges.
func (c *muxConn) allow(n int32) {
	c.streams.Store(n)
	c.pool.Wake(c)
}

// Connections that carry several exchanges at once are leased by several.
func ExamplePool_Wake() {
	p := &pool.Pool[string, *muxConn]{MaxConnsPerKey: 1}
	p.Dial = func(context.Context, string) (*muxConn, error) {
		c := &muxConn{pool: p}
		c.streams.Store(2)
		return c, nil
	}
	p.Shared = func(string) bool { return true }
	p.Admit = func(c *muxConn, leases int) bool { return leases <= int(c.streams.Load()) }
	defer p.Close()

	ctx := context.Background()
	first, err := p.Acquire(ctx, "server")
	if err != nil {
		fmt.Println(err)
		return
	}
	second, ok := p.TryAcquire("server")
	fmt.Println("second:", ok)
	_, ok = p.TryAcquire("server")
	fmt.Println("third:", ok)

	var wg sync.WaitGroup
	wg.Go(func() {
		third, err := p.Acquire(ctx, "server") // waits, or not if the peer is fast
		fmt.Println("third, later:", err == nil && third.Conn() == first.Conn())
		third.Release()
	})
	first.Conn().allow(3)
	wg.Wait()

	first.Release()
	second.Release()
	s := p.Stats()
	fmt.Println(s.Dials, "dial,", s.Reuses, "reuses,", s.Idle, "idle")
	// Output:
	// second: true
	// third: false
	// third, later: true
	// 1 dial, 2 reuses, 1 idle
}
