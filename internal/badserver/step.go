package badserver

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"time"
)

// A Script is what a server does on one connection.
type Script []Step

// A Step is one thing that a server does.
type Step interface {
	play(*session) error
}

// A session is one connection that a script is played on.
type session struct {
	conn net.Conn
	r    *bufio.Reader
	over <-chan struct{} // closed when the test ends
}

// Play plays a script on a connection that was not accepted by a Server.
func Play(c net.Conn, script Script) error {
	return script.play(&session{conn: c, r: bufio.NewReader(c)})
}

// ReadRequest reads one request, its body included.
type ReadRequest struct{}

func (ReadRequest) play(s *session) error {
	req, err := http.ReadRequest(s.r)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, req.Body)
	return err
}

// ReadHead reads the head of a request, and leaves its body where it is.
type ReadHead struct{}

func (ReadHead) play(s *session) error {
	_, err := http.ReadRequest(s.r)
	return err
}

// Read reads so many bytes.
type Read int

func (n Read) play(s *session) error {
	_, err := io.CopyN(io.Discard, s.r, int64(n))
	return err
}

// Write writes these bytes.
type Write string

func (w Write) play(s *session) error {
	_, err := io.WriteString(s.conn, string(w))
	return err
}

// Trickle writes bytes one at a time with a gap before each.
type Trickle struct {
	Bytes string
	Gap   time.Duration
}

func (tr Trickle) play(s *session) error {
	for i := range len(tr.Bytes) {
		select {
		case <-time.After(tr.Gap):
		case <-s.over:
			return nil
		}
		if err := Write(tr.Bytes[i : i+1]).play(s); err != nil {
			return err
		}
	}
	return nil
}

// Repeat plays a script so many times, or until the client leaves if Times is 0.
type Repeat struct {
	Times int
	Script
}

func (r Repeat) play(s *session) error {
	for i := 0; r.Times == 0 || i < r.Times; i++ {
		if err := r.Script.play(s); err != nil {
			return err
		}
	}
	return nil
}

func (script Script) play(s *session) error {
	for _, step := range script {
		if err := step.play(s); err != nil {
			return err
		}
	}
	return nil
}

// Signal closes a channel.
type Signal chan<- struct{}

func (c Signal) play(*session) error {
	close(c)
	return nil
}

// Call calls a function.
type Call func()

func (f Call) play(*session) error {
	f()
	return nil
}

// Wait waits until a channel is closed or the test ends.
type Wait <-chan struct{}

func (c Wait) play(s *session) error {
	select {
	case <-c:
	case <-s.over:
	}
	return nil
}

// Stall does nothing until the client leaves or the test ends.
type Stall struct{}

func (Stall) play(s *session) error {
	_, err := io.Copy(io.Discard, s.r)
	return err
}

// FIN ends the server's direction; what the client sends is still read.
type FIN struct{}

func (FIN) play(s *session) error {
	cw, ok := s.conn.(interface{ CloseWrite() error })
	if !ok {
		return errors.ErrUnsupported
	}
	return cw.CloseWrite()
}

// RST resets the connection.
type RST struct{}

func (RST) play(s *session) error {
	conn := s.conn
	if w, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = w.NetConn()
	}
	tc, ok := conn.(*net.TCPConn)
	if !ok {
		return errors.ErrUnsupported
	}
	if err := tc.SetLinger(0); err != nil {
		return err
	}
	return tc.Close()
}

// Close closes the connection.
type Close struct{}

func (Close) play(s *session) error { return s.conn.Close() }

// Func is whatever else a server may do.
type Func func(net.Conn) error

func (f Func) play(s *session) error { return f(s.conn) }
