//go:build linux

package reaper_test

import (
	"bytes"
	"runtime"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/reaper"
)

// What lies in the socket's error queue, such as the time at which bytes were sent, is not a reset.
func TestErrorQueue(t *testing.T) {
	const soTimestamping, sentInSoftware = 37, 1<<1 | 1<<4
	var r reaper.Reaper
	c, s := pair(t)
	w, called := watch(t, &r, c)
	raw, err := c.SyscallConn()
	require.NoError(t, err)
	var serr error
	require.NoError(t, raw.Control(func(fd uintptr) {
		serr = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, soTimestamping, sentInSoftware)
	}))
	require.NoError(t, serr)
	send(t, c, "when?")
	require.Eventually(t, func() bool { return errorQueued(t, raw) }, patience, tick)
	settle(t, &r)
	assert.NoError(t, w.Err())
	assert.Empty(t, called)
	require.NoError(t, s.CloseWrite())
	assert.Equal(t, reaper.ErrHangup, wait(t, called))
}

// errorQueued takes a message out of the socket's error queue, if there is one, and puts nothing back: the watch was
// told of it when it came.
func errorQueued(t *testing.T, raw syscall.RawConn) bool {
	var err error
	require.NoError(t, raw.Control(func(fd uintptr) {
		_, _, _, _, err = syscall.Recvmsg(int(fd), make([]byte, 64), make([]byte, 512), syscall.MSG_ERRQUEUE|syscall.MSG_DONTWAIT)
	}))
	return err == nil
}

// A connection that has told and is left open costs nothing: the goroutine parks, and does not hear of it again and
// again.
func TestParks(t *testing.T) {
	var r reaper.Reaper
	watchedPair(t, &r)
	s, called := watchedPair(t, &r)
	send(t, s, "x")
	require.NoError(t, s.CloseWrite())
	wait(t, called)
	require.Eventually(t, func() bool {
		all := make([]byte, 1<<20)
		for _, stack := range bytes.Split(all[:runtime.Stack(all, true)], []byte("\n\n")) {
			if bytes.Contains(stack, []byte("reaper.(*core).run(")) {
				return bytes.Contains(stack, []byte("[IO wait"))
			}
		}
		return false
	}, patience, tick)
}
