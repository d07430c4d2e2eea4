package transport_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A script is what a raw server does with the first request it gets.
type script struct {
	writes [][]byte // the response, cut into pieces
	keep   bool     // the connection stays open behind them
}

func (s *script) raw() string { return string(bytes.Join(s.writes, nil)) }

// A scriptedServer plays one script after the other, each for one transport.
type scriptedServer struct {
	listener net.Listener
	play     atomic.Pointer[performance]
}

// A performance is one script as one transport sees it.
type performance struct {
	script
	started atomic.Bool    // by the first request
	written chan struct{}  // closed when the script was written, or cannot be
	wire    atomic.Value   // that request's bytes, a string
	conns   sync.WaitGroup // that the transport opened

	mu   sync.Mutex // guards over
	over bool       // no connection is opened any more
}

func startScripted(t *testing.T) *scriptedServer {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &scriptedServer{listener: l}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p := s.play.Load()
			go func() {
				defer p.conns.Done()
				defer c.Close()
				p.serve(c)
			}()
		}
	}()
	return s
}

// dial opens a connection that the performance's end waits for. Nothing ends it half-way, when it would be known to the server only.
func (p *performance) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if !p.begins() {
		return nil, net.ErrClosed // net/http dials in the background, and perhaps only now
	}
	c, err := new(net.Dialer).DialContext(context.WithoutCancel(ctx), network, addr)
	if err != nil {
		p.conns.Done()
	}
	return c, err
}

func (p *performance) begins() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.over {
		p.conns.Add(1)
	}
	return !p.over
}

// end waits for the connections.
func (p *performance) end() {
	p.mu.Lock()
	p.over = true
	p.mu.Unlock()
	p.conns.Wait()
}

// serve answers the first request as the script says, and those that follow with their number on the connection.
func (p *performance) serve(c net.Conn) {
	var wire bytes.Buffer
	r := bufio.NewReader(io.TeeReader(c, &wire))
	for nth := 1; ; nth++ {
		wire.Reset()
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		if expects := req.Header.Get("Expect") != ""; expects {
			_, _ = io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\n")
		}
		if _, err = io.Copy(io.Discard, req.Body); err != nil {
			return
		}
		if p.started.Swap(true) {
			_, _ = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nNth: %d\r\nContent-Length: 2\r\n\r\nok", nth)
			continue
		}
		p.wire.Store(wire.String())
		if !p.write(c) || !p.keep {
			return
		}
	}
}

// write writes the script, and reports whether it could.
func (p *performance) write(c net.Conn) bool {
	defer close(p.written)
	for i, b := range p.writes {
		if i > 0 && i%8 == 0 {
			time.Sleep(50 * time.Microsecond) // lets the pieces arrive apart; nothing depends on it
		}
		if _, err := c.Write(b); err != nil {
			return false
		}
	}
	return true
}

// headOf returns the head of a request.
func headOf(wire string) string {
	head, _, _ := strings.Cut(wire, "\r\n\r\n")
	return head
}
