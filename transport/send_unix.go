//go:build unix

package transport

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"

	"github.com/watertight-go/watertight/internal/http1"
)

var _ http1.Sender = (*socket)(nil)

// A sending is a Send of a socket. They are used again, their functions bound once, so that it costs no allocation.
type sending struct {
	call    func(fd uintptr) bool
	p, into []byte
	wrote   int
	n       int
	err     error
}

var sendings = sync.Pool{New: func() any {
	s := new(sending)
	s.call = s.step
	return s
}}

// Send implements http1.Sender. It is one turn at Go's poller for a request and the beginning of its response, and between the look and
// the write there is nothing but the two system calls.
func (s *socket) Send(p, into []byte) (wrote, n int, err error) {
	w := sendings.Get().(*sending)
	w.p, w.into, w.wrote, w.n, w.err = p, into, 0, 0, nil
	failed := s.raw.Read(w.call)
	wrote, n, err = w.wrote, w.n, w.err
	w.p, w.into, w.err = nil, nil, nil
	sendings.Put(w)
	switch {
	case failed != nil:
		return wrote, 0, s.asRead(failed)
	case err != nil && wrote == 0 && err != io.EOF:
		s.set(mute)
	}
	return wrote, n, s.named(err)
}

// asRead makes what the descriptor says, as a deadline has passed or the socket was closed, what a Read would have said.
func (s *socket) asRead(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return &net.OpError{Op: "read", Net: op.Net, Source: op.Source, Addr: s.RemoteAddr(), Err: op.Err}
	}
	return err
}

// step is called with the descriptor, first at once and then, where it returned false, whenever there may be something to read. The poller
// listens already: whatever comes after a look that found nothing makes another.
func (w *sending) step(fd uintptr) bool {
	n, err := again(syscall.Read, fd, w.into)
	switch {
	case err == nil && n == 0:
		w.err = io.EOF
		return true
	case err == nil:
		w.n = n
		return true
	case !errors.Is(err, syscall.EAGAIN):
		w.err = os.NewSyscallError("read", err)
		return true
	case w.wrote > 0:
		return false
	}
	n, err = again(syscall.Write, fd, w.p)
	switch {
	case err == nil:
		w.wrote = n
		return n < len(w.p)
	case !errors.Is(err, syscall.EAGAIN):
		w.err = os.NewSyscallError("write", err)
	}
	return true
}

// again makes a system call until no signal interrupts it.
func again(call func(int, []byte) (int, error), fd uintptr, p []byte) (n int, err error) {
	for {
		if n, err = call(int(fd), p); err != syscall.EINTR {
			return n, err
		}
	}
}
