//go:build unix

package transport

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"

	"github.com/watertight-go/watertight/internal/http1"
	"github.com/watertight-go/watertight/reaper"
)

var _ http1.Sender = (*http1Conn)(nil)

// A sending is a request on its way into a socket. They are used again, their functions bound once, so that it costs no allocation.
type sending struct {
	call    func(fd uintptr) bool
	p, into []byte
	leaves  bool // what comes behind p is waited for, and not read
	wrote   int
	n       int
	err     error
	records []byte // p, if TLS made it
}

var sendings = sync.Pool{New: func() any {
	w := new(sending)
	w.call = w.step
	return w
}}

func (w *sending) free() {
	*w = sending{call: w.call, records: w.records[:0]}
	sendings.Put(w)
}

// Send implements http1.Sender.
func (hc *http1Conn) Send(p, into []byte) (wrote, n int, err error) {
	if tc, ok := hc.wire().(*tls.Conn); ok {
		return hc.sendSealed(tc, p, into)
	}
	return hc.sock().Send(p, into)
}

// Send is one turn at Go's poller for a request and the beginning of its response, and between the look and the write there is nothing
// but the two system calls.
func (s *socket) Send(p, into []byte) (wrote, n int, err error) {
	w := sendings.Get().(*sending)
	defer w.free()
	w.p, w.into = p, into
	return w.through(s)
}

// sendSealed makes records of p first, which are sent then, whole and in their order: TLS has counted them. What comes behind them is left to
// whoever reads from TLS.
func (hc *http1Conn) sendSealed(tc *tls.Conn, p, into []byte) (wrote, n int, err error) {
	s := tc.NetConn().(*tlsSocket)
	if err := hc.readAhead(s); err != nil {
		return foundByLook(err)
	}
	w := sendings.Get().(*sending)
	defer w.free()
	s.kept = w.records
	s.keeps.Store(true)
	defer func() {
		s.keeps.Store(false)
		w.records, s.kept = s.kept, nil
	}()
	switch _, err := tc.Write(p); {
	case err != nil:
		return 0, 0, err
	case len(s.kept) == 0: // it was written past us, as the connection is being closed
		return len(p), 0, net.ErrClosed
	}
	w.p, w.into, w.leaves = s.kept, into, true
	wrote, n, err = w.through(s.socket)
	if n > 0 { // it may be for TLS alone, whose answer follows the request
		s.putBack(into[:n])
		err = hc.checkArrived()
	}
	if wrote == 0 && err != nil {
		s.set(mute) // nobody understands a goodbye behind records that are missing
		return foundByLook(err)
	}
	if rest := s.kept[wrote:]; err == nil && len(rest) > 0 {
		n, err = s.socket.Write(rest)
		if wrote += n; err != nil {
			return min(wrote, len(p)-1), 0, err // how much of p that is, nobody needs to know
		}
	}
	return len(p), 0, err
}

// readAhead tells what crypto/tls has read behind the last response, as look does.
func (hc *http1Conn) readAhead(s *tlsSocket) error {
	s.blind = true
	defer func() { s.blind = false }()
	return hc.checkArrived()
}

// foundByLook is what a Sender says of what checkArrived found.
func foundByLook(err error) (wrote, n int, _ error) {
	if errors.Is(err, reaper.ErrUnexpectedData) {
		return 0, 1, nil
	}
	return 0, 0, err
}

// through looks, writes and waits.
func (w *sending) through(s *socket) (wrote, n int, err error) {
	failed := s.raw.Read(w.call)
	switch {
	case failed != nil:
		return w.wrote, 0, s.asRead(failed)
	case w.err != nil && w.wrote == 0 && w.err != io.EOF:
		s.set(mute)
	}
	return w.wrote, w.n, s.named(w.err)
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
	if w.leaves && w.wrote > 0 {
		return true
	}
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
