//go:build !unix

package reaper

import (
	"errors"
	"fmt"
	"net"
)

// A Prober is [Probe] for one connection. On this system there is none.
type Prober struct{}

var errNoProbe = fmt.Errorf("reaper: sockets cannot be probed on this system: %w", errors.ErrUnsupported)

// NewProber returns an error that wraps [errors.ErrUnsupported].
func NewProber(net.Conn) (*Prober, error) { return nil, errNoProbe }

// Probe returns an error that wraps [errors.ErrUnsupported].
func (*Prober) Probe() error { return errNoProbe }
