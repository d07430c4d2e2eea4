package transport

import (
	"errors"
	"os"
	"time"

	"github.com/watertight-go/watertight/reaper"
)

// A parkedRead waits on an idle connection that the reaper cannot watch, one without a descriptor or on a system
// without means: a goroutine blocked in Read, for as long as the connection is idle. Its end is the peer's hang-up,
// or bytes nobody asked for, or a deadline in the past by which the next lease ends it.
type parkedRead struct {
	done  chan struct{} // closed when the Read has returned; guards the fields below
	bytes int
	err   error
}

// park begins to wait for the peer's end, if nobody else does. The connection is not leased again before this has
// returned.
func (hc *http1Conn) park() {
	if hc.watched != nil || hc.nc.SetReadDeadline(time.Time{}) != nil {
		return // without deadlines the Read could not be ended again
	}
	p := &parkedRead{done: make(chan struct{})}
	hc.parked = p
	go p.wait(hc)
}

// wait is the goroutine of a parked read.
func (p *parkedRead) wait(hc *http1Conn) {
	var b [1]byte
	p.bytes, p.err = hc.nc.Read(b[:])
	close(p.done)
	if why := p.verdict(); why != nil {
		// Whoever leases it meanwhile sees the same in unpark.
		hc.hungUp(why)
	}
}

// verdict tells why the connection is not to be used again, nil if it was only disturbed.
func (p *parkedRead) verdict() error {
	switch {
	case p.bytes > 0:
		return reaper.ErrUnexpectedData
	case errors.Is(p.err, os.ErrDeadlineExceeded):
		return nil
	}
	return reaper.ErrHangup
}

// unpark ends the wait and returns what it found.
func (hc *http1Conn) unpark() error {
	p := hc.parked
	hc.parked = nil
	if err := hc.nc.SetReadDeadline(time.Unix(1, 0)); err != nil {
		return err
	}
	<-p.done
	if why := p.verdict(); why != nil {
		return why
	}
	return hc.nc.SetReadDeadline(time.Time{})
}
