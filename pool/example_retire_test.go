package pool_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"
	"weak"

	"github.com/watertight-go/watertight/pool"
)

// A watched is a connection that knows when its peer has gone.
type watched struct {
	net.Conn
	gone func() // to be called once, by whoever notices
}

// A watch retires connections whose peer is gone: idle ones are closed at once, whether or not anybody comes for
// them. It refers to the pool weakly, so that a pool that is dropped without Close is collected.
func ExamplePool_Retire() {
	closed := make(chan pool.Reason, 1)
	p := &pool.Pool[string, *watched]{
		Dial: func(context.Context, string) (*watched, error) {
			client, _ := net.Pipe()
			return &watched{Conn: client}, nil
		},
		OnClose: func(_ *watched, why pool.Reason, _ time.Duration) { closed <- why },
	}
	ref := weak.Make(p)
	p.OnOpen = func(c *watched) {
		c.gone = func() {
			if p := ref.Value(); p != nil {
				p.Retire(c, "peer gone")
			}
		}
	}

	l, err := p.Acquire(context.Background(), "server")
	if err != nil {
		fmt.Println(err)
		return
	}
	c := l.Conn() // which is the pool's again after the Release: only its watch goes on
	l.Release()
	c.gone()
	fmt.Println(<-closed)
	_, ok := p.TryAcquire("server")
	fmt.Println(ok)
	fmt.Println(p.Close())
	// Output:
	// peer gone
	// false
	// <nil>
}

// When descriptors run out, connections that nobody uses make room, and what is known of the others goes into the
// error.
func ExamplePool_CloseOldestIdle() {
	p := &pool.Pool[string, net.Conn]{
		Dial: func(context.Context, string) (net.Conn, error) {
			client, _ := net.Pipe()
			return client, nil
		},
	}
	var leases []pool.Lease[string, net.Conn]
	for range 3 {
		l, err := p.Acquire(context.Background(), "server")
		if err != nil {
			fmt.Println(err)
			return
		}
		leases = append(leases, l)
	}
	leases[0].Release()
	leases[1].Release()
	fmt.Println("closed:", p.CloseOldestIdle(1))
	left := p.Gauges("server")
	fmt.Println("leased:", left.Leased, "idle:", left.Idle)
	p.CloseIdle()
	fmt.Println("open:", p.Stats().Open)
	leases[2].Discard("not needed")
	// Output:
	// closed: 1
	// leased: 1 idle: 1
	// open: 1
}

// Shutdown waits for those who use a connection, for a while.
func ExamplePool_Shutdown() {
	p := &pool.Pool[string, net.Conn]{
		Dial: func(context.Context, string) (net.Conn, error) {
			client, _ := net.Pipe()
			return client, nil
		},
	}
	l, err := p.Acquire(context.Background(), "server")
	if err != nil {
		fmt.Println(err)
		return
	}
	mine, err := p.Acquire(context.Background(), "server")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("hijacked:", mine.Hijack()) // the pool does not wait for what is not its own any more
	defer mine.Conn().Close()

	ctx, cancel := context.WithTimeoutCause(context.Background(), time.Millisecond, errors.New("still in use"))
	defer cancel()
	fmt.Println(p.Shutdown(ctx))
	_, err = p.Acquire(context.Background(), "server")
	fmt.Println(err)
	fmt.Println("kept:", l.Release())
	fmt.Println(p.Shutdown(context.Background()))
	// Output:
	// hijacked: true
	// still in use
	// pool: closed
	// kept: false
	// <nil>
}
