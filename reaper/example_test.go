//go:build linux || darwin || dragonfly || freebsd || netbsd || openbsd

package reaper_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"

	"github.com/watertight-go/watertight/reaper"
)

// An idleConn is a connection that closes itself the moment its peer hangs up, without being read from. Its watch is one of its
// fields, and tells it.
type idleConn struct {
	net.Conn
	watch  reaper.Watch
	closed chan error
}

// HungUp is called by the reaper.
func (c *idleConn) HungUp(err error) {
	c.Close()
	c.closed <- err
}

func Example() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer l.Close()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		fmt.Println(err)
		return
	}
	server, err := l.Accept()
	if err != nil {
		fmt.Println(err)
		return
	}

	var r reaper.Reaper
	defer runtime.KeepAlive(&r) // as long as one wants to be told
	c := &idleConn{Conn: conn, closed: make(chan error, 1)}
	var owner reaper.Owner = c
	if err := r.Watch(&c.watch, conn, owner); err != nil {
		fmt.Println(err)
		return
	}
	defer c.watch.Stop()
	fmt.Println(c.watch.Err(), reaper.Probe(conn))
	server.Close()
	fmt.Println(<-c.closed)
	switch err := c.watch.Err(); {
	case errors.Is(err, reaper.ErrHangup):
		fmt.Println("a FIN: what it had sent could still have been read")
	case errors.Is(err, reaper.ErrReset):
		fmt.Println("a RST: there was nothing more to read")
	}
	// Output:
	// <nil> <nil>
	// reaper: peer hung up
	// a FIN: what it had sent could still have been read
}

// A pool looks into a connection before it lends it again: bytes that lie there answer a question that nobody asked.
func ExampleProber() {
	dir, err := os.MkdirTemp("", "reaper")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	l, err := net.Listen("unix", filepath.Join(dir, "socket"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer l.Close()
	conn, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	server, err := l.Accept()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()

	var p *reaper.Prober
	if p, err = reaper.NewProber(conn); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(p.Probe())
	fmt.Fprint(server, "408 Request Timeout") // in a Unix socket at once
	err = p.Probe()
	fmt.Println(err, errors.Is(err, reaper.ErrUnexpectedData))
	// Output:
	// <nil>
	// reaper: unexpected data true
}
