package pool_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/watertight-go/watertight/pool"
)

// A lineConn speaks a small line protocol: it sends a line and reads one.
type lineConn struct {
	net.Conn
	r *bufio.Reader
}

func (c *lineConn) ask(line string) (string, error) {
	if _, err := fmt.Fprintln(c, line); err != nil {
		return "", err
	}
	answer, err := c.r.ReadString('\n')
	return strings.TrimSpace(answer), err
}

// A pool of connections to a server that answers each line with the line in capitals.
func Example() {
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	go serveLines(server)

	p := &pool.Pool[string, *lineConn]{
		Dial: func(ctx context.Context, addr string) (*lineConn, error) {
			nc, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
			if err != nil {
				return nil, err
			}
			return &lineConn{nc, bufio.NewReader(nc)}, nil
		},
		MaxConnsPerKey: 10,
		IdleTimeout:    time.Minute,
	}
	defer p.Close()

	for _, line := range []string{"hello", "again"} {
		l, err := p.Acquire(context.Background(), server.Addr().String())
		if err != nil {
			fmt.Println(err)
			return
		}
		answer, err := l.Conn().ask(line)
		if err != nil {
			l.Discard("exchange failed")
			fmt.Println(err)
			return
		}
		fmt.Println(answer, l.Reused())
		l.Release()
	}
	// Output:
	// HELLO false
	// AGAIN true
}

func serveLines(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			for s := bufio.NewScanner(c); s.Scan(); {
				fmt.Fprintln(c, strings.ToUpper(s.Text()))
			}
		}()
	}
}
