//go:build linux || darwin || dragonfly || freebsd || netbsd || openbsd

package reaper_test

import (
	"fmt"
	"net"

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
	w, err := r.Watch(conn, func(err error) { gone <- err })
	if err != nil {
		fmt.Println(err)
		return
	}
	defer w.Stop()

	fmt.Println(reaper.Probe(conn))
	server.Close()
	fmt.Println(<-gone)
	// Output:
	// <nil>
	// reaper: peer hung up
}
