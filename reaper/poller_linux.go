package reaper

import (
	"os"
	"syscall"
	"time"
)

// A poller is an epoll instance that reports hang-ups and nothing else. Its own descriptor is readable while it has
// something to report, so that Go's poller can wait for it: no thread is blocked.
type poller struct {
	file *os.File
	raw  syscall.RawConn

	// Owned by wait.
	fetch  func(fd uintptr) bool // p.poll, bound once
	events [eventsPerCall]syscall.EpollEvent
	n      int // how many there are
	told   int // and how many of them were reported
	err    error
}

// interest is edge-triggered and without EPOLLIN: bytes that arrive wake nobody. The syscall package has EPOLLET
// as a negative number, which does not fit the field.
const interest uint32 = syscall.EPOLLRDHUP | 1<<31

func newPoller() (*poller, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if err := syscall.SetNonblock(fd, true); err != nil {
		_ = syscall.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	p := &poller{file: os.NewFile(uintptr(fd), "epoll")}
	p.fetch = p.poll
	// NewFile hands a non-blocking descriptor to Go's poller and keeps quiet about a failure; that of a deadline tells.
	if err := p.file.SetReadDeadline(time.Time{}); err != nil {
		p.close()
		return nil, err
	}
	if p.raw, err = p.file.SyscallConn(); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

func (p *poller) add(fd uintptr, id uint64) error {
	ev := syscall.EpollEvent{Events: interest, Fd: int32(uint32(id)), Pad: int32(uint32(id >> 32))}
	return control(p.raw, func(epfd uintptr) error {
		err := syscall.EpollCtl(int(epfd), syscall.EPOLL_CTL_ADD, int(fd), &ev)
		if err == syscall.EEXIST { // from a watch that was stopped
			err = syscall.EpollCtl(int(epfd), syscall.EPOLL_CTL_MOD, int(fd), &ev)
		}
		return os.NewSyscallError("epoll_ctl", err)
	})
}

func (p *poller) wait(report func(id uint64, err error)) {
	// The reports are made outside Read, which holds the descriptor: close waits for that, and a report may close.
	for p.told < p.n || p.raw.Read(p.fetch) == nil && p.err == nil {
		for p.told < p.n {
			ev := p.events[p.told]
			p.told++
			if err := meaning(ev.Events); err != nil {
				report(uint64(uint32(ev.Fd))|uint64(uint32(ev.Pad))<<32, err)
			}
		}
	}
}

// poll fetches events. It returns false, which makes Go's poller wait for more, only after it saw none: a wake-up is
// not repeated for events that were left behind.
func (p *poller) poll(fd uintptr) bool {
	p.told = 0
	for {
		if p.n, p.err = syscall.EpollWait(int(fd), p.events[:], 0); p.err != syscall.EINTR {
			return p.n != 0 || p.err != nil
		}
	}
}

// meaning tells a FIN from a reset, nil from both. EPOLLHUP alone means that both directions are shut, which the
// peer's FIN after our CloseWrite does as well. EPOLLERR alone is about something else: a timestamp, a zero-copy
// notice, an ICMP message.
func meaning(events uint32) error {
	const reset = syscall.EPOLLERR | syscall.EPOLLHUP
	switch {
	case events&reset == reset:
		return ErrReset
	case events&(syscall.EPOLLRDHUP|syscall.EPOLLHUP) != 0:
		return ErrHangup
	}
	return nil
}

func (p *poller) close() { _ = p.file.Close() }
