package reaper

import (
	"fmt"
	"os"
	"syscall"
)

// A poller is an epoll instance that reports hang-ups and nothing else. Its own descriptor is readable while it has
// something to report, so that Go's poller can wait for it: no thread is blocked.
type poller struct {
	file *os.File
	raw  syscall.RawConn
}

// interest is edge-triggered and without EPOLLIN: bytes that arrive wake nobody. 1<<31 is EPOLLET.
const interest = syscall.EPOLLRDHUP | 1<<31

func newPoller() (*poller, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("reaper: epoll_create1: %w", err)
	}
	if err := syscall.SetNonblock(fd, true); err != nil {
		_ = syscall.Close(fd)
		return nil, fmt.Errorf("reaper: epoll: %w", err)
	}
	// os.NewFile registers a non-blocking descriptor with Go's poller.
	f := os.NewFile(uintptr(fd), "epoll")
	raw, err := f.SyscallConn()
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("reaper: epoll: %w", err)
	}
	return &poller{file: f, raw: raw}, nil
}

// add registers a socket. A hang-up that has come already is reported as well.
func (p *poller) add(fd uintptr, id uint64) error {
	ev := syscall.EpollEvent{Events: interest, Fd: int32(uint32(id)), Pad: int32(uint32(id >> 32))}
	return p.ctl(syscall.EPOLL_CTL_ADD, fd, &ev)
}

// remove takes a socket out.
func (p *poller) remove(fd uintptr) error {
	return p.ctl(syscall.EPOLL_CTL_DEL, fd, new(syscall.EpollEvent))
}

func (p *poller) ctl(op int, fd uintptr, ev *syscall.EpollEvent) error {
	return control(p.raw, func(epfd uintptr) error {
		if err := syscall.EpollCtl(int(epfd), op, int(fd), ev); err != nil {
			return fmt.Errorf("reaper: epoll_ctl: %w", err)
		}
		return nil
	})
}

// wait reports hang-ups until the poller is closed, and returns why it ended.
func (p *poller) wait(report func(id uint64, err error)) error {
	events := make([]syscall.EpollEvent, 128)
	for {
		var n int
		var werr error
		err := p.raw.Read(func(fd uintptr) bool {
			n, werr = syscall.EpollWait(int(fd), events, 0)
			return n != 0 || werr != nil && werr != syscall.EINTR
		})
		if err != nil {
			return err
		}
		if werr != nil {
			return fmt.Errorf("reaper: epoll_wait: %w", werr)
		}
		for _, ev := range events[:n] {
			id := uint64(uint32(ev.Fd)) | uint64(uint32(ev.Pad))<<32
			if err := meaning(ev.Events); err != nil {
				report(id, err)
			}
		}
	}
}

// meaning tells a reset from a FIN: a reset sets an error besides.
func meaning(events uint32) error {
	switch {
	case events&syscall.EPOLLERR != 0:
		return ErrReset
	case events&(syscall.EPOLLRDHUP|syscall.EPOLLHUP) != 0:
		return ErrHangup
	}
	return nil
}

func (p *poller) close() { _ = p.file.Close() }
