//go:build unix

package reaper

import (
	"errors"
	"net"
	"syscall"
)

// A Prober is [Probe] for one connection, without an allocation per probe. It is not safe for concurrent use.
type Prober struct {
	raw  syscall.RawConn
	look func(fd uintptr) bool // p.peek, bound once
	buf  [1]byte
	n    int
	err  error
}

// NewProber returns a Prober for conn; see [Probe] for errors.
func NewProber(conn net.Conn) (*Prober, error) {
	raw, err := rawConn(conn)
	if err != nil {
		return nil, err
	}
	p := &Prober{raw: raw}
	p.look = p.peek
	return p, nil
}

// Probe probes the connection. After it was closed the error is [net.ErrClosed] or like it.
func (p *Prober) Probe() error {
	// Read, unlike Control, runs the function once and then parks only if it says that it wants to wait.
	if err := p.raw.Read(p.look); err != nil {
		return err
	}
	switch {
	case p.err == nil && p.n > 0:
		return ErrUnexpectedData
	case p.err == nil:
		return ErrHangup
	case errors.Is(p.err, syscall.EAGAIN), errors.Is(p.err, syscall.EINTR):
		return nil
	case errors.Is(p.err, syscall.ECONNRESET):
		return ErrReset
	}
	return p.err
}

func (p *Prober) peek(fd uintptr) bool {
	p.n, _, p.err = syscall.Recvfrom(int(fd), p.buf[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	return true
}
