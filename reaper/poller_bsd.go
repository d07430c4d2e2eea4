//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package reaper

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
)

// A poller is a kqueue that reports hang-ups and nothing else. A kqueue cannot be waited for by Go's own poller, which
// asks for writability as well; so one goroutine blocks in a second kqueue, which watches the first one and a
// pipe whose closing ends the wait.
//
// Events name descriptors, which are used again. An event is therefore fetched and translated under the lock under which
// a descriptor is registered: what was fetched after a registration cannot stem from the descriptor's last use,
// as closing that took its events out of the queue.
type poller struct {
	outer    int
	endRead  *os.File
	endWrite *os.File

	mu    sync.Mutex // guards the fields below, and the fetching of events
	inner int
	ids   map[uint64]uint64 // of descriptors
	ended bool
}

// manyBytes is more than a socket buffers: only the end of the stream is reported, not data.
const manyBytes = 1 << 30

func newPoller() (*poller, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("reaper: %w", err)
	}
	p := &poller{outer: -1, inner: -1, endRead: r, endWrite: w, ids: map[uint64]uint64{}}
	if err := p.open(); err != nil {
		p.release()
		_ = w.Close()
		return nil, fmt.Errorf("reaper: kqueue: %w", err)
	}
	return p, nil
}

func (p *poller) open() (err error) {
	if p.inner, err = newKqueue(); err != nil {
		return err
	}
	if p.outer, err = newKqueue(); err != nil {
		return err
	}
	var changes [2]syscall.Kevent_t
	syscall.SetKevent(&changes[0], p.inner, syscall.EVFILT_READ, syscall.EV_ADD)
	syscall.SetKevent(&changes[1], int(p.endRead.Fd()), syscall.EVFILT_READ, syscall.EV_ADD)
	_, err = syscall.Kevent(p.outer, changes[:], nil, nil)
	return err
}

func newKqueue() (int, error) {
	kq, err := syscall.Kqueue()
	if err != nil {
		return -1, err
	}
	syscall.CloseOnExec(kq)
	return kq, nil
}

// add registers a socket. A hang-up that has come already is reported as well.
func (p *poller) add(fd uintptr, id uint64) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return os.ErrClosed
	}
	var change [1]syscall.Kevent_t
	syscall.SetKevent(&change[0], int(fd), syscall.EVFILT_READ, syscall.EV_ADD|syscall.EV_CLEAR)
	change[0].Fflags = syscall.NOTE_LOWAT
	change[0].Data = manyBytes
	if _, err := syscall.Kevent(p.inner, change[:], nil, nil); err != nil {
		return fmt.Errorf("reaper: kevent: %w", err)
	}
	p.ids[uint64(fd)] = id
	return nil
}

// remove takes a socket out.
func (p *poller) remove(fd uintptr) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return os.ErrClosed
	}
	delete(p.ids, uint64(fd))
	var change [1]syscall.Kevent_t
	syscall.SetKevent(&change[0], int(fd), syscall.EVFILT_READ, syscall.EV_DELETE)
	_, err := syscall.Kevent(p.inner, change[:], nil, nil)
	return err
}

// A hangupEvent is an event translated.
type hangupEvent struct {
	id  uint64
	err error
}

// wait reports hang-ups until the poller is closed, and returns why it ended. It releases the descriptors.
func (p *poller) wait(report func(id uint64, err error)) error {
	defer p.release()
	var ready [2]syscall.Kevent_t
	var events [128]syscall.Kevent_t
	for {
		if _, err := syscall.Kevent(p.outer, nil, ready[:], nil); err != nil && !errors.Is(err, syscall.EINTR) {
			return fmt.Errorf("reaper: kevent: %w", err)
		}
		found, err := p.fetch(events[:])
		if err != nil {
			return err
		}
		for _, ev := range found {
			report(ev.id, ev.err)
		}
	}
}

// fetch takes what there is out of the inner queue, without waiting.
func (p *poller) fetch(events []syscall.Kevent_t) ([]hangupEvent, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return nil, os.ErrClosed
	}
	n, err := syscall.Kevent(p.inner, nil, events, new(syscall.Timespec))
	if err != nil {
		if errors.Is(err, syscall.EINTR) {
			return nil, nil
		}
		return nil, fmt.Errorf("reaper: kevent: %w", err)
	}
	var found []hangupEvent
	for _, ev := range events[:n] {
		id, ok := p.ids[uint64(ev.Ident)]
		if !ok || ev.Flags&syscall.EV_EOF == 0 {
			continue
		}
		err := ErrHangup
		if ev.Fflags != 0 { // the socket's error
			err = ErrReset
		}
		found = append(found, hangupEvent{id, err})
	}
	return found, nil
}

// close ends wait.
func (p *poller) close() {
	p.mu.Lock()
	p.ended = true
	p.mu.Unlock()
	_ = p.endWrite.Close()
}

// release closes the descriptors; wait has ended, or never begun.
func (p *poller) release() {
	if p.outer >= 0 {
		_ = syscall.Close(p.outer)
	}
	if p.inner >= 0 {
		_ = syscall.Close(p.inner)
	}
	_ = p.endRead.Close()
}
