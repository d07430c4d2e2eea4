package reaper

import (
	"errors"
	"fmt"
	"net"
	"syscall"
)

// Probe looks into the socket of conn, waiting for nothing and taking no byte out. It returns
//
//   - nil if there is nothing to see: the peer has sent neither bytes nor FIN,
//   - [ErrUnexpectedData] if bytes lie there, whatever comes after them,
//   - [ErrHangup] if the next thing is a FIN, or conn was shut with CloseRead on this side,
//   - [ErrReset] if the connection exists no longer; wrapped with the system's error if that is not ECONNRESET,
//   - an error that wraps [errors.ErrUnsupported] if conn has no descriptor or the system cannot probe,
//   - an error that wraps [net.ErrClosed] if conn was closed on this side.
//
// Beneath TLS, the bytes may be a record for the TLS layer, such as a session ticket. The system reports the error of a reset
// once, to Probe or to a Read: after that the same socket looks like [ErrHangup].
//
// Probe may run beside a Read or Write in another goroutine, and ignores deadlines. It allocates; to look often
// into one socket, use a [Prober].
func Probe(conn net.Conn) error {
	p, err := NewProber(conn)
	if err != nil {
		return err
	}
	return p.Probe()
}

var errNoPeek = fmt.Errorf("reaper: sockets cannot be probed on this system: %w", errors.ErrUnsupported)

// A Prober probes one connection, at the price of one system call and no allocation. It is not safe for concurrent
// use, but its connection may be read and written meanwhile.
type Prober struct {
	raw  syscall.RawConn
	look func(fd uintptr) // p.peek, bound once
	buf  [1]byte
	seen error // what the last look saw
	gone error // ErrHangup or ErrReset, once seen
}

// NewProber returns a Prober for conn. The error wraps [errors.ErrUnsupported] if conn has no descriptor or the
// system cannot probe.
func NewProber(conn net.Conn) (*Prober, error) {
	if !canPeek {
		return nil, errNoPeek
	}
	raw, err := rawConn(conn)
	if err != nil {
		return nil, err
	}
	p := &Prober{raw: raw}
	p.look = p.peek
	return p, nil
}

// Probe is [Probe] for the Prober's connection. Unlike that function, it remembers [ErrHangup] and [ErrReset]: they are
// returned for ever after, without another look.
func (p *Prober) Probe() error {
	if p.gone != nil {
		return p.gone
	}
	p.seen = errNoDescriptor // of a wrapper that does not call
	if err := p.raw.Control(p.look); err != nil {
		return fmt.Errorf("reaper: probe: %w", err)
	}
	return p.seen
}

func (p *Prober) peek(fd uintptr) {
	p.seen = peek(fd, p.buf[:])
	if errors.Is(p.seen, ErrHangup) || errors.Is(p.seen, ErrReset) {
		p.gone = p.seen
	}
}
