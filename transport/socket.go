package transport

import (
	"bytes"
	"errors"
	"net"
	"os"
	"syscall"

	"github.com/watertight-go/watertight/internal/http1"
)

// A socket lies between a connection that we opened and whatever speaks on it, TLS or HTTP. Its Read can be told not to wait:
// what has arrived is then read, and decrypted, and nobody blocks for what has not, in the middle of a record as well as
// between two. And what the kernel still holds can be taken into memory, to be read from there.
type socket struct {
	net.Conn
	raw syscall.RawConn // nil where nothing may be read beneath Conn

	onClose func() // called once the socket was closed, by whomever; nil: nobody needs to know. Set before anybody else has the socket

	// Owned by the holder of the connection's lease; by that of the stream's mutex while a body is open.
	nowait bool
	now    immediateRead
	taken  [][]byte // out of the kernel, and not read yet
	end    error    // what is read after that; nil: what the kernel has
}

// newSocket wraps nc. Only beneath a connection of the net package's own its descriptor may be read from: a caller's wrapper may
// count, limit or change what passes through it.
func newSocket(nc net.Conn) *socket {
	s := &socket{Conn: nc}
	var sc syscall.Conn
	switch nc := nc.(type) {
	case *net.TCPConn:
		sc = nc
	case *net.UnixConn:
		sc = nc
	}
	if sc == nil || !canReadNow {
		return s
	}
	if raw, err := sc.SyscallConn(); err == nil {
		s.raw = raw
		s.now.bind()
	}
	return s
}

// NetConn returns the connection beneath, for those who look for its descriptor.
func (s *socket) NetConn() net.Conn { return s.Conn }

// Close closes the connection.
func (s *socket) Close() error {
	err := s.Conn.Close()
	if s.onClose != nil {
		s.onClose()
	}
	return err
}

// Read reads what was taken first. Where it was told not to wait it says http1.ErrWouldBlock if there is nothing.
func (s *socket) Read(p []byte) (int, error) {
	switch {
	case len(s.taken) > 0:
		return s.readTaken(p), nil
	case s.end != nil:
		return 0, s.end
	case !s.nowait:
		return s.Conn.Read(p)
	case s.raw == nil:
		return 0, http1.ErrWouldBlock
	}
	n, err := s.now.read(s.raw, p)
	return n, s.named(err)
}

func (s *socket) readTaken(p []byte) int {
	n := copy(p, s.taken[0])
	if s.taken[0] = s.taken[0][n:]; len(s.taken[0]) == 0 {
		s.taken[0] = nil
		s.taken = s.taken[1:]
	}
	return n
}

// withoutWaiting runs f while reads do not wait.
func (s *socket) withoutWaiting(f func()) {
	s.nowait = true
	defer func() { s.nowait = false }()
	f()
}

// take moves what the kernel holds into memory, limit bytes at most, without waiting. It returns how many. If it came to the
// end, s.end is set: the descriptor is not needed any more.
func (s *socket) take(limit int64) (n int64) {
	buf := copyBuffers.Get().(*[32 << 10]byte)
	defer copyBuffers.Put(buf)
	for n < limit {
		got, err := s.now.read(s.raw, buf[:min(limit-n, int64(len(buf)))])
		switch {
		case errors.Is(err, http1.ErrWouldBlock), errors.Is(err, os.ErrDeadlineExceeded):
			return n
		case err != nil:
			s.end = s.named(err)
			return n
		}
		s.taken = append(s.taken, bytes.Clone(buf[:got]))
		n += int64(got)
	}
	return n
}

// named makes an error of a read what the net package would have made of it.
func (s *socket) named(err error) error {
	var failed *os.SyscallError
	if !errors.As(err, &failed) {
		return err
	}
	local := s.LocalAddr()
	return &net.OpError{Op: "read", Net: local.Network(), Source: local, Addr: s.RemoteAddr(), Err: err}
}
