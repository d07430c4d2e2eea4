//go:build linux || darwin || dragonfly || freebsd || netbsd || openbsd

package reaper_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/watertight-go/watertight/reaper"
)

// A client learns that its idle connection's server hung up, without reading from it.
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
	defer conn.Close()
	server, err := l.Accept()
	if err != nil {
		fmt.Println(err)
		return
	}

	var r reaper.Reaper
	gone := make(chan error, 1)
	var w reaper.Watch
	if err := r.Watch(&w, conn, reaper.OwnerFunc(func(err error) { gone <- err })); err != nil {
		fmt.Println(err)
		return
	}
	defer w.Stop()

	fmt.Println(reaper.Probe(conn))
	server.Close()
	fmt.Println(<-gone)
	switch err := w.Err(); {
	case errors.Is(err, reaper.ErrHangup):
		fmt.Println("a FIN: what it had sent may still be read")
	case errors.Is(err, reaper.ErrReset):
		fmt.Println("a RST: there is nothing more to read")
	}
	// Output:
	// <nil>
	// reaper: peer hung up
	// a FIN: what it had sent may still be read
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
