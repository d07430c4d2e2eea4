package main

import (
	"crypto/tls"
	"io"
	"net"
)

// floor is the least that a client can do: it writes bytes that it has, and reads as many as it knows will come.
func floor(t target) (do, func()) {
	request := append([]byte(t.Scene.Kind.head(t.Addr)), make([]byte, t.Scene.Kind.Upload)...)
	answer := len(responses[t.Scene.Kind.Path])
	conns := max(t.Scene.Workers, t.Scene.Origins)
	free := make(chan *floorConn, conns) // which are used in turn
	for range conns {
		nc := must(net.Dial("tcp", t.Addr))
		if t.Scene.HTTPS {
			nc = tls.Client(nc, t.config())
		}
		free <- &floorConn{nc, make([]byte, min(answer, 64<<10))}
	}
	end := func() {
		for len(free) > 0 {
			_ = (<-free).nc.Close()
		}
	}
	return func() error {
		c := <-free
		if _, err := c.nc.Write(request); err != nil {
			return err
		}
		for left := answer; left > 0; {
			n, err := io.ReadAtLeast(c.nc, c.buf[:min(left, len(c.buf))], 1)
			if err != nil {
				return err
			}
			left -= n
		}
		free <- c
		return nil
	}, end
}

type floorConn struct {
	nc  net.Conn
	buf []byte
}
