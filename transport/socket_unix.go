//go:build unix

package transport

import (
	"bytes"
	"errors"
	"io"
	"os"
	"sync"
	"syscall"

	"github.com/watertight-go/watertight/internal/http1"
)

const canReadNow = true

// An immediateRead is one read(2) of a descriptor that is not blocking. They are used again, their functions bound once, so that
// it costs no allocation.
type immediateRead struct {
	call func(fd uintptr) bool
	once func(fd uintptr) // call, for RawConn.Control
	p    []byte
	n    int
	err  error
}

var immediateReads = sync.Pool{New: func() any {
	r := new(immediateRead)
	r.call = func(fd uintptr) bool {
		r.n, r.err = again(syscall.Read, fd, r.p)
		return true
	}
	r.once = func(fd uintptr) { r.call(fd) }
	return r
}}

// awaitInput waits until the kernel has something to read, be it the peer's end, and leaves it there. Other reads wait for it. It
// may be called beside them.
//
// An error cannot be left in the kernel, which tells it once: it is kept for the next read, before that may look.
func (s *socket) awaitInput() error {
	var b [1]byte
	return s.raw.Read(func(fd uintptr) bool {
		_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK)
		for errors.Is(err, syscall.EINTR) {
			_, _, err = syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK)
		}
		switch {
		case err == nil:
		case errors.Is(err, syscall.EAGAIN):
			return false
		default:
			s.learn(err)
		}
		return true
	})
}

// writeNow writes what fits without waiting.
func writeNow(raw syscall.RawConn, p []byte) (n int, err error) {
	var werr error
	err = raw.Write(func(fd uintptr) bool {
		n, werr = again(syscall.Write, fd, p)
		return true
	})
	n = max(n, 0)
	switch {
	case err != nil:
		return n, err
	case werr == nil && n < len(p):
		return n, io.ErrShortWrite
	}
	return n, werr
}

// readNow reads what has arrived, without waiting.
func readNow(raw syscall.RawConn, p []byte) (int, error) {
	return readImmediately(p, func(r *immediateRead) error { return raw.Read(r.call) })
}

// readEnded is readNow for who does not care that a deadline has passed, or passes just now. Nobody else reads.
func readEnded(raw syscall.RawConn, p []byte) (int, error) {
	return readImmediately(p, func(r *immediateRead) error { return raw.Control(r.once) })
}

func readImmediately(p []byte, read func(*immediateRead) error) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	r := immediateReads.Get().(*immediateRead)
	r.p = p
	err := read(r)
	n, failed := r.n, r.err
	r.p = nil
	immediateReads.Put(r)
	switch {
	case err != nil:
		return 0, err
	case failed == nil && n == 0:
		return 0, io.EOF
	case failed == nil:
		return n, nil
	case errors.Is(failed, syscall.EAGAIN):
		return 0, http1.ErrWouldBlock
	}
	return 0, os.NewSyscallError("read", failed)
}

// putBack makes p what is read next.
func (s *socket) putBack(p []byte) {
	if s.intake == nil {
		s.intake = new(intake)
	}
	s.intake.rest = append(s.intake.rest, bytes.Clone(p))
}
