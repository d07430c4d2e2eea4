//go:build !linux && !darwin && !dragonfly && !freebsd && !netbsd && !openbsd

package reaper_test

import (
	"errors"
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/reaper"
)

// Where the system has no means, Watch says so.
func TestUnsupported(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	defer c.Close()
	var r reaper.Reaper
	err = r.Watch(new(reaper.Watch), c, nil)
	assert.ErrorIs(t, err, errors.ErrUnsupported)
}
