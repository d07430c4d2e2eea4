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
	free := make(chan *floorConn, t.Scene.Workers)
	end := func() {
		for len(free) > 0 {
			_ = (<-free).nc.Close()
		}
	}
	return func() error {
		var c *floorConn
		select {
		case c = <-free:
		default:
			nc, err := net.Dial("tcp", t.Addr)
			if err != nil {
				return err
			}
			if t.Scene.HTTPS {
				nc = tls.Client(nc, t.config())
			}
			c = &floorConn{nc, make([]byte, 64<<10)}
		}
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
