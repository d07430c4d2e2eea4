package transport

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/watertight-go/watertight/internal/http1"
	"github.com/watertight-go/watertight/reaper"
)

// A socket lies between a connection that we opened and whatever speaks on it, TLS or HTTP. Its Read can be told not to wait:
// what has arrived is then read, and decrypted, and nobody blocks for what has not, in the middle of a record as well as
// between two. And what the kernel still holds can be taken into memory, to be read from there.
type socket struct {
	net.Conn
	raw syscall.RawConn // nil where nothing may be read beneath Conn
	// foreign is true where Conn is neither the net package's nor TLS over that. Of such a connection nothing is asked but what
	// net/http asks: Read, Write, and Close to end them. Its deadlines may do nothing, and say nothing of it, or close it.
	foreign bool
	nowait  bool          // owned by the holder of the connection's lease; by that of the stream's mutex while a body is open
	signs   atomic.Uint32 // closed, leaving, mute, hungUp, reading, tells, lent; from errnoShift on, learnt
	intake  *intake       // nil most of the time; owned as nowait is
}

// The signs of a socket.
const (
	closed  = 1 << iota
	leaving // TLS above is being closed
	mute    // nothing is worth saying to the peer any more, or can be said: a Write failed
	hungUp  // the peer ended the connection before us, as a Read or Write said, or a look before the close of a socket that tells
	reading // somebody waits in a Read; noted by a socket that tells
	tells   // there is intake.onClose, and the intake stays
	lent    // somebody has, or had, the connection

	errnoShift = 16
)

// set sets a sign and reports whether it was set before.
func (s *socket) set(sign uint32) bool { return s.signs.Or(sign)&sign != 0 }

func (s *socket) is(sign uint32) bool { return s.signs.Load()&sign != 0 }

// learnt returns the error that was learnt, by awaitInput or a Write, which the system tells once; 0 if there was none.
func (s *socket) learnt() syscall.Errno { return syscall.Errno(s.signs.Load() >> errnoShift) }

func (s *socket) learn(err error) {
	var number syscall.Errno
	if errors.As(err, &number) && s.learnt() == 0 {
		s.signs.Or(uint32(number) << errnoShift)
	}
}

// An intake lies between the kernel and a Read.
type intake struct {
	records *recordReader // in a TLS handshake; else nil
	rest    [][]byte      // moved out of the kernel, and not read yet
	end     error         // what is read after that; nil: what the kernel has
	onClose func()        // see tellClose
}

// tellClose makes the socket call f once it was closed, by whomever. It is called before anybody else has the socket, from which
// nothing is taken then.
func (s *socket) tellClose(f func()) {
	s.intake = &intake{onClose: f}
	s.set(tells)
}

// socketBeneath returns the socket that nc is, or that is beneath it where nc is TLS of ours; nil if there is none.
func socketBeneath(nc net.Conn) *socket {
	if tc, ok := nc.(*tls.Conn); ok {
		nc = tc.NetConn()
	}
	switch s := nc.(type) {
	case *socket:
		return s
	case *tlsSocket:
		return s.socket
	}
	return nil
}

// onSocket returns nc on a socket: nc itself where it is on one.
func onSocket(nc net.Conn) net.Conn {
	if socketBeneath(nc) != nil {
		return nc
	}
	return newSocket(nc)
}

// isOwn reports whether nc is the net package's own, or TLS over that.
func isOwn(nc net.Conn) bool {
	if s := socketBeneath(nc); s != nil {
		return !s.foreign
	}
	switch nc := nc.(type) {
	case *net.TCPConn, *net.UnixConn:
		return true
	case *tls.Conn:
		return isOwn(nc.NetConn())
	}
	return false
}

// ownSocket returns nc on a socket of its own: nc itself where it is one.
func ownSocket(nc net.Conn) *socket {
	if s, ok := nc.(*socket); ok {
		return s
	}
	return newSocket(nc)
}

// newSocket wraps nc. Only beneath a connection of the net package's own its descriptor may be read from: a caller's wrapper may
// count, limit or change what passes through it.
func newSocket(nc net.Conn) *socket {
	s := new(socket)
	s.init(nc)
	return s
}

func (s *socket) init(nc net.Conn) {
	s.Conn = nc
	var sc syscall.Conn
	switch nc := nc.(type) {
	case *net.TCPConn:
		sc = nc
	case *net.UnixConn:
		sc = nc
	default:
		s.foreign = !isOwn(nc)
	}
	if sc == nil || !canReadNow {
		return
	}
	if raw, err := sc.SyscallConn(); err == nil {
		s.raw = raw
	}
}

// NetConn returns the connection beneath, for those who look for its descriptor.
func (s *socket) NetConn() net.Conn { return s.Conn }

// Close closes the connection, once.
func (s *socket) Close() error {
	if s.set(closed) {
		return net.ErrClosed
	}
	if !s.is(tells) {
		return s.goodbye().Close()
	}
	if isHangup(reaper.Probe(s.Conn)) { // nobody can tell afterwards
		s.set(hungUp)
	}
	err := s.goodbye().Close()
	s.intake.onClose()
	return err
}

// Read reads what was taken first. Where it was told not to wait it says http1.ErrWouldBlock if there is nothing.
func (s *socket) Read(p []byte) (int, error) {
	switch {
	case s.holds():
		return s.intake.read(p), nil
	case s.ended():
		return 0, s.intake.end
	case s.intake != nil && s.intake.records != nil:
		return s.intake.records.read(s.receive, p)
	case !s.nowait:
		if s.is(tells) {
			s.set(reading)
		}
		n, err := s.receive(p)
		if s.is(tells) {
			s.signs.And(^uint32(reading))
		}
		if err == io.EOF {
			err = s.named(err)
		}
		return n, err
	case s.raw == nil:
		return s.readSoon(p)
	}
	n, err := readNow(s.raw, p)
	return n, s.named(err)
}

// receive reads from the connection. One of a caller's that brings nothing, and brings it for ever, has failed: TLS would ask on and on.
func (s *socket) receive(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
	if n == 0 && err == nil {
		n, err = http1.ReadSomething(s.Conn.Read, p)
	}
	if (err == io.EOF || http1.IsReset(err)) && !s.is(closed) {
		s.set(hungUp)
	}
	return n, err
}

// aMoment is longer than a Read needs for what is there, and waitsLong than that takes on the busiest machine.
const (
	aMoment   = 2 * time.Millisecond
	waitsLong = time.Second
)

// readSoon reads what has arrived where that cannot be had without waiting: a deadline ends the Read, if the connection has such. A busy
// machine may come to the Read when its time is over: as long as the system has anything for us, there is another, with more time.
func (s *socket) readSoon(p []byte) (int, error) {
	for wait := aMoment; s.SetReadDeadline(time.Now().Add(wait)) == nil; wait *= 4 {
		n, err := s.receive(p)
		_ = s.SetReadDeadline(time.Time{})
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		if wait > waitsLong || !s.hasUnread() {
			break
		}
	}
	return 0, http1.ErrWouldBlock
}

// hasUnread reports whether the system has anything for us, or the peer's end.
func (s *socket) hasUnread() bool {
	err := reaper.Probe(s.Conn)
	return err != nil && !errors.Is(err, errors.ErrUnsupported)
}

// goodbye returns what to close: what is beneath a caller's TLS where that would only wait, as nothing can be said on it.
func (s *socket) goodbye() net.Conn {
	if tc, ok := s.Conn.(*tls.Conn); ok && (s.is(mute) || !s.is(leaving)) {
		return tc.NetConn()
	}
	return s.Conn
}

// Write writes to the connection. When TLS above is being closed, what it has to say must not wait for a peer that does not read.
func (s *socket) Write(p []byte) (n int, err error) {
	if s.is(leaving) {
		switch {
		case s.is(mute) || s.foreign:
			return 0, net.ErrClosed
		case s.raw != nil:
			return writeNow(s.raw, p)
		}
	}
	n, err = s.Conn.Write(p)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite // or we would wait for the answer to what was never sent
	}
	s.noteWrite(err)
	return n, err
}

// ReadFrom writes what r reads. On a connection of the net package's own the system does that by itself for a file.
func (s *socket) ReadFrom(r io.Reader) (n int64, err error) {
	if to, ok := s.Conn.(io.ReaderFrom); ok && !s.foreign {
		n, err = to.ReadFrom(r)
		s.noteWrite(err)
		return n, err
	}
	return io.Copy(struct{ io.Writer }{s}, r)
}

// noteWrite notes how a Write ended.
func (s *socket) noteWrite(err error) {
	if http1.IsReset(err) {
		s.learn(err) // or a Read would take it for an end
		s.set(hungUp)
	}
	if err != nil {
		s.set(mute)
	}
}

// leave is called before TLS on the socket is closed, which tells the peer, unless that is gone, or would find it in the middle of
// a record.
func (s *socket) leave(peerGone bool) {
	if peerGone {
		s.set(mute)
	}
	s.set(leaving)
	if beneath := socketBeneath(s.Conn); beneath != nil {
		beneath.leave(peerGone)
	}
}

// LocalAddr and RemoteAddr are the connection's own. A caller's may have none: net/http does not ask for them, and a double in a test that
// embeds no net.Conn panics.
func (s *socket) LocalAddr() net.Addr { return s.addr(s.Conn.LocalAddr) }

func (s *socket) RemoteAddr() net.Addr { return s.addr(s.Conn.RemoteAddr) }

func (s *socket) addr(of func() net.Addr) (addr net.Addr) {
	if s.foreign {
		defer func() {
			if recover() != nil {
				addr = nil
			}
		}()
	}
	return of()
}

// SetDeadline, SetReadDeadline and SetWriteDeadline are the connection's own, unless it is a caller's: see foreign.
func (s *socket) SetDeadline(t time.Time) error {
	if s.foreign {
		return os.ErrNoDeadline
	}
	return s.Conn.SetDeadline(t)
}

func (s *socket) SetReadDeadline(t time.Time) error {
	if s.foreign {
		return os.ErrNoDeadline
	}
	return s.Conn.SetReadDeadline(t)
}

func (s *socket) SetWriteDeadline(t time.Time) error {
	if s.foreign {
		return os.ErrNoDeadline
	}
	return s.Conn.SetWriteDeadline(t)
}

// SyscallConn returns the descriptor, for those who watch it.
func (s *socket) SyscallConn() (syscall.RawConn, error) {
	if s.raw == nil {
		return nil, errors.ErrUnsupported
	}
	return s.raw, nil
}

// holds reports whether anything that was taken is still to be read.
func (s *socket) holds() bool { return s.intake != nil && len(s.intake.rest) > 0 }

// ended reports whether all that will ever come was taken.
func (s *socket) ended() bool { return s.intake != nil && s.intake.end != nil }

func (t *intake) read(p []byte) int {
	n := copy(p, t.rest[0])
	if t.rest[0] = t.rest[0][n:]; len(t.rest[0]) == 0 {
		t.rest[0] = nil
		t.rest = t.rest[1:]
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
// end, that is set: the descriptor is not needed any more.
func (s *socket) take(limit int64) (n int64) {
	buf := copyBuffers.Get().(*copyBuffer)
	defer copyBuffers.Put(buf)
	if s.intake == nil {
		s.intake = new(intake)
	}
	for n < limit {
		got, err := readEnded(s.raw, buf[:min(limit-n, int64(len(buf)))])
		switch {
		case errors.Is(err, http1.ErrWouldBlock):
			return n
		case err != nil:
			s.intake.end = s.named(err)
			return n
		}
		s.intake.rest = append(s.intake.rest, bytes.Clone(buf[:got]))
		n += int64(got)
	}
	return n
}

// keep takes what the kernel holds, limit bytes at most, so that an end that is found stays to be read, even when the socket was closed.
func (s *socket) keep(limit int64) {
	if s.take(limit) == 0 && !s.ended() {
		s.intake = nil
	}
}

// named makes an error of a system call what the net package would have made of it. What follows an error that was learnt looks
// like an end.
func (s *socket) named(err error) error {
	if err == nil || err == http1.ErrWouldBlock {
		return err
	}
	if number := s.learnt(); number != 0 && err == io.EOF {
		err = os.NewSyscallError("read", number)
	}
	var failed *os.SyscallError
	if !errors.As(err, &failed) {
		return err
	}
	op := &net.OpError{Op: failed.Syscall, Source: s.LocalAddr(), Addr: s.RemoteAddr(), Err: err}
	if op.Source != nil { // which a caller's connection may not have
		op.Net = op.Source.Network()
	}
	return op
}
