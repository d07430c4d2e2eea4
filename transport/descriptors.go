package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/watertight-go/watertight/internal/http1"
)

// idleToGiveUp is how many idle connections a dial gives up that meets the limit of descriptors: enough for itself and a lookup.
const idleToGiveUp = 4

// A dialer opens a connection to an address.
type dialer = func(ctx context.Context, addr string) (net.Conn, error)

// reclaimedWithin is how long at least a dial waits for connections that are being taken back: bodies that the collector has found are
// reclaimed a little later, and their connections closed in goroutines of their own.
const reclaimedWithin = 100 * time.Millisecond

// dialSparing dials, and where that finds no free descriptor, once more after giving up what can be given up: the oldest idle
// connections, and those of bodies that were forgotten or dropped, for whose end it waits a moment.
func (c *core) dialSparing(ctx context.Context, addr string, dial dialer) (net.Conn, error) {
	nc, err := dial(ctx, addr)
	if err == nil || !outOfDescriptors(err) {
		return nc, err
	}
	given, coming := c.giveUpIdle(), false
	if given < idleToGiveUp {
		var taken int
		taken, coming = c.giveUpBodies(idleToGiveUp - given)
		given += taken
	}
	nc, err = dial(ctx, addr)
	began := c.clock()
	for wait := time.Millisecond; coming && outOfDescriptors(err) && c.clock()-began < reclaimedWithin; wait *= 2 {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, err
		}
		c.giveUpIdle() // a connection of HTTP/2 may be idle without the bodies on it
		nc, err = dial(ctx, addr)
	}
	if outOfDescriptors(err) {
		err = fmt.Errorf("transport: dialing %s: no free descriptor, and %d connections given up were not enough: raise the limit of open files: %w", addr, given, err)
	}
	return nc, err
}

// closeWait is how long a dial waits until the idle connections that it gives up are closed: the Close of one may hang.
const closeWait = time.Second

// giveUpIdle closes the oldest idle connections. It returns how many, 0 if some are not closed yet.
func (c *core) giveUpIdle() int {
	given, closed := 0, make(chan struct{})
	go func() {
		given = c.pool.CloseOldestIdle(idleToGiveUp)
		close(closed)
	}()
	if !http1.Await(closed, closeWait) {
		return 0
	}
	return given
}

// giveUpBodies takes connections back from bodies that were forgotten, the longest unread first, or else has the collector look
// for dropped ones. It returns how many it took itself, and whether connections may be about to be closed.
func (c *core) giveUpBodies(wanted int) (taken int, coming bool) {
	suspect := c.reclaimForgotten(func(route) bool { return taken < wanted }, func(route) { taken++ })
	if suspect && taken == 0 {
		c.collect()
	}
	return taken, taken > 0 || suspect
}

// shortages are what systems say of a process, or of a system, that has too many files open. The last is Windows' WSAEMFILE, a number that
// no other system has; its syscall.EMFILE is Go's invention.
var shortages = []syscall.Errno{syscall.EMFILE, syscall.ENFILE, 10024}

// outOfDescriptors reports whether an error is one of these. A lookup says so in words only.
func outOfDescriptors(err error) bool {
	var dns *net.DNSError
	lookup := errors.As(err, &dns)
	return slices.ContainsFunc(shortages, func(number syscall.Errno) bool {
		return errors.Is(err, number) || lookup && strings.Contains(dns.Err, number.Error())
	})
}
