package transport

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
)

// A dial that finds no free descriptor is told by the number that the system gives, Windows its own, and where that is lost in a lookup, by
// its text.
func TestOutOfDescriptors(t *testing.T) {
	for _, number := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, 10024} {
		dial := &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("socket", number)}
		assert.True(t, outOfDescriptors(dial), "%d", number)
		assert.True(t, outOfDescriptors(fmt.Errorf("the caller's dialer: %w", dial)), "%d", number)
		lookup := &net.DNSError{Err: "dial udp: socket: " + number.Error(), Name: "host.test"}
		assert.True(t, outOfDescriptors(&net.OpError{Op: "dial", Net: "tcp", Err: lookup}), "%d", number)
	}
	for _, other := range []error{nil, errors.New(syscall.EMFILE.Error()), syscall.ECONNREFUSED, &net.DNSError{Err: "no such host"}} {
		assert.False(t, outOfDescriptors(other), "%v", other)
	}
}
