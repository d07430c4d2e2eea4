//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package reaper

import (
	"os"
	"sync"
	"syscall"
)

// A poller is a kqueue that reports hang-ups and nothing else. Not every kqueue can be made non-blocking, so Go's
// poller cannot wait for it: one goroutine blocks, with its thread, in a second kqueue, which watches the first one
// and a pipe whose closing ends the wait.
//
// The end of the stream is EV_EOF of EVFILT_READ, on each of these systems: with the socket's error in fflags after a reset, with
// 0 after a FIN, whatever is still to be read. An event without EV_EOF, which tells of an error that ends nothing, means nothing here.
//
// An event's only room for an id is a pointer, so events are told apart by their descriptor, and descriptors are used
// again. That is safe because add and the fetching of events exclude each other: the kernel drops the events
// of a descriptor that is closed, so what is fetched after an add stems from the socket that was added, and is
// translated to its id at once, before the descriptor can be added again. The lock is thus held across kevent, which
// only copies there and never waits.
type poller struct {
	outer    int           // owned by wait
	found    []hangupEvent // and not reported; owned by wait
	endRead  *os.File
	endWrite *os.File

	mu    sync.Mutex // guards the fields below
	inner int
	ids   map[uint64]uint64 // of descriptors; one that was stopped or closed keeps its entry until it is used again
	ended bool
}

// manyBytes is the low-water mark: more than a socket buffers, so that EVFILT_READ tells of the end of the stream and
// not of data. macOS lowers it to the size of the buffer: there a buffer that becomes full wakes the goroutine for nothing.
const manyBytes = 1 << 30

func newPoller() (*poller, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	p := &poller{outer: -1, inner: -1, endRead: r, endWrite: w, ids: map[uint64]uint64{}}
	if err := p.open(); err != nil {
		p.release()
		_ = w.Close()
		return nil, err
	}
	return p, nil
}

// open makes the kqueues. A child process does not inherit them.
func (p *poller) open() (err error) {
	if p.inner, err = syscall.Kqueue(); err != nil {
		return os.NewSyscallError("kqueue", err)
	}
	if p.outer, err = syscall.Kqueue(); err != nil {
		return os.NewSyscallError("kqueue", err)
	}
	var changes [2]syscall.Kevent_t
	syscall.SetKevent(&changes[0], p.inner, syscall.EVFILT_READ, syscall.EV_ADD)
	syscall.SetKevent(&changes[1], int(p.endRead.Fd()), syscall.EVFILT_READ, syscall.EV_ADD)
	_, err = syscall.Kevent(p.outer, changes[:], nil, nil)
	return os.NewSyscallError("kevent", err)
}

func (p *poller) add(fd uintptr, id uint64) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return os.ErrClosed
	}
	var change [1]syscall.Kevent_t
	if _, known := p.ids[uint64(fd)]; known { // from a watch that was stopped, or else the kernel has forgotten it
		syscall.SetKevent(&change[0], int(fd), syscall.EVFILT_READ, syscall.EV_DELETE)
		_, _ = syscall.Kevent(p.inner, change[:], nil, nil)
	}
	syscall.SetKevent(&change[0], int(fd), syscall.EVFILT_READ, syscall.EV_ADD|syscall.EV_CLEAR)
	change[0].Fflags = syscall.NOTE_LOWAT
	change[0].Data = manyBytes
	if _, err := syscall.Kevent(p.inner, change[:], nil, nil); err != nil {
		return os.NewSyscallError("kevent", err)
	}
	p.ids[uint64(fd)] = id
	return nil
}

// A hangupEvent is an event translated.
type hangupEvent struct {
	id  uint64
	err error
}

func (p *poller) wait(report func(id uint64, err error)) {
	var ready [2]syscall.Kevent_t
	var events [eventsPerCall]syscall.Kevent_t
	for open := true; open; {
		for len(p.found) > 0 {
			ev := p.found[0]
			p.found = p.found[1:]
			report(ev.id, ev.err)
		}
		if _, err := syscall.Kevent(p.outer, nil, ready[:], nil); err != nil && err != syscall.EINTR {
			break
		}
		p.found, open = p.fetch(events[:])
	}
	p.release()
}

// fetch takes what there is out of the inner queue, without waiting, and reports whether the poller is still open.
func (p *poller) fetch(events []syscall.Kevent_t) (found []hangupEvent, open bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return nil, false
	}
	n, err := syscall.Kevent(p.inner, nil, events, new(syscall.Timespec))
	if err != nil {
		return nil, err == syscall.EINTR
	}
	for _, ev := range events[:n] {
		id, ok := p.ids[uint64(ev.Ident)]
		if !ok || ev.Flags&syscall.EV_EOF == 0 {
			continue
		}
		err := ErrHangup
		if ev.Fflags != 0 { // at the end of the stream, the socket's error
			err = ErrReset
		}
		found = append(found, hangupEvent{id, err})
	}
	return found, true
}

func (p *poller) close() {
	p.mu.Lock()
	p.ended = true
	p.mu.Unlock()
	_ = p.endWrite.Close()
}

// release closes the descriptors that wait used. Where wait gave up by itself nothing has ended p: an add must not find that the
// number of inner has become another file's.
func (p *poller) release() {
	p.mu.Lock()
	p.ended = true
	p.mu.Unlock()
	if p.outer >= 0 {
		_ = syscall.Close(p.outer)
	}
	if p.inner >= 0 {
		_ = syscall.Close(p.inner)
	}
	_ = p.endRead.Close()
}
