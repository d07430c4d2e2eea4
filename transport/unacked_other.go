//go:build !linux

package transport

import (
	"net"
	"time"
)

// boundUnacked does nothing: this system has no such bound that package syscall knows of. Its own retransmission limit and TCP
// keep-alive find dead peers.
func boundUnacked(net.Conn, time.Duration) {}
