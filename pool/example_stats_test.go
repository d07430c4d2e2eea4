package pool_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/watertight-go/watertight/pool"
)

// A quietConn is a connection to nobody.
type quietConn struct{ name string }

func (*quietConn) Close() error { return nil }

// What a pool has and had, in all, by key and one by one.
func ExampleStats() {
	p := &pool.Pool[string, *quietConn]{
		Dial:    func(_ context.Context, key string) (*quietConn, error) { return &quietConn{"to " + key}, nil },
		OnClose: func(c *quietConn, why pool.Reason, _ time.Duration) { fmt.Println("closed", c.name, "-", why) },
	}
	a, err := p.Acquire(context.Background(), "a")
	if err != nil {
		fmt.Println(err)
		return
	}
	b, err := p.Acquire(context.Background(), "b")
	if err != nil {
		fmt.Println(err)
		return
	}
	b.Release()

	var total pool.Gauges = p.Total()
	var ofB pool.Gauges = p.Gauges("b")
	fmt.Println("open", total.Open, "leased", total.Leased, "idle to b", ofB.Idle)
	for key, info := range p.All() {
		if key == a.Key() {
			fmt.Println(key, "leased:", info.Leased)
		}
	}
	var first pool.Info[*quietConn] = p.Conns("b")[0]
	fmt.Println("b leased:", first.Leased)

	l, _ := p.TryAcquire("b")
	fmt.Println("was idle:", l.IdleTime() > 0, "opened within the last minute:", l.Age() < time.Minute)
	l.Release()
	p.CloseIdle()

	st := p.Stats()
	var keys []pool.KeyGauges[string] = st.Keys
	var counters pool.Counters = st.Counters
	fmt.Println(len(keys), "key left; dials", counters.Dials, "reuses", counters.Reuses, "closed", counters.Closes[pool.IdleClosed])
	_ = p.Close()
	a.Release()
	// Output:
	// open 2 leased 1 idle to b 1
	// a leased: true
	// b leased: false
	// was idle: true opened within the last minute: true
	// closed to b - idle closed
	// 1 key left; dials 2 reuses 1 closed 1
	// closed to a - pool closed
}

// What an Acquire may say besides a dialer's error, and who closes connections why.
func ExampleReason() {
	closed := make(chan string, 2) // it is told beside what the pool's user does
	var p *pool.Pool[string, *quietConn]
	p = &pool.Pool[string, *quietConn]{
		Dial: func(_ context.Context, key string) (*quietConn, error) { return &quietConn{key}, nil },
		OnOpen: func(c *quietConn) {
			if c.name == "shy" {
				p.Retire(c, "peer hung up at once")
			}
		},
		MaxConnsPerKey: 1,
		WaitTimeout:    time.Millisecond,
		OnClose: func(_ *quietConn, why pool.Reason, _ time.Duration) {
			switch why {
			case pool.IdleTimeout, pool.Lifetime, pool.Evicted, pool.IdleClosed, pool.Unwanted, pool.Closed:
				closed <- fmt.Sprint("the pool's reason: ", why)
			default:
				closed <- fmt.Sprint("the user's: ", why)
			}
		},
	}
	_, err := p.Acquire(context.Background(), "shy")
	var retired *pool.RetiredError
	if errors.As(err, &retired) {
		fmt.Println("retired:", retired.Reason)
	}
	fmt.Println(<-closed)

	l, err := p.Acquire(context.Background(), "k")
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = p.Acquire(context.Background(), "k")
	fmt.Println(errors.Is(err, pool.ErrWaitTimeout))
	l.Release()
	_ = p.Close()
	fmt.Println(<-closed)
	_, err = p.Acquire(context.Background(), "k")
	fmt.Println(errors.Is(err, pool.ErrClosed))
	// Output:
	// retired: peer hung up at once
	// the user's: peer hung up at once
	// true
	// the pool's reason: pool closed
	// true
}
