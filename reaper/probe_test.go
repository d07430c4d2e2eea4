//go:build linux || darwin || dragonfly || freebsd || netbsd || openbsd

package reaper_test

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/reaper"
)

// wantProbe waits until a probe of c returns want.
func wantProbe(t *testing.T, c net.Conn, want error) {
	t.Helper()
	require.Eventually(t, func() bool { return errors.Is(reaper.Probe(c), want) }, patience, tick)
}

// Probe tells bytes from a hang-up, bytes first, and takes nothing out.
func TestProbe(t *testing.T) {
	c, s := pair(t)
	assert.NoError(t, reaper.Probe(c))
	send(t, s, "hi")
	wantProbe(t, c, reaper.ErrUnexpectedData)
	require.NoError(t, s.CloseWrite())
	assert.ErrorIs(t, reaper.Probe(c), reaper.ErrUnexpectedData)
	got, err := io.ReadAll(c)
	require.NoError(t, err)
	assert.Equal(t, "hi", string(got))
	assert.ErrorIs(t, reaper.Probe(c), reaper.ErrHangup)
	require.NoError(t, c.Close())
	assert.ErrorIs(t, reaper.Probe(c), net.ErrClosed)
}

// The system tells of a reset once; a Prober remembers.
func TestProberRemembers(t *testing.T) {
	c, s := pair(t)
	p, err := reaper.NewProber(c)
	require.NoError(t, err)
	assert.NoError(t, p.Probe())
	reset(t, s)
	require.Eventually(t, func() bool { return errors.Is(p.Probe(), reaper.ErrReset) }, patience, tick)
	assert.ErrorIs(t, p.Probe(), reaper.ErrReset)
	require.NoError(t, c.Close())
	assert.ErrorIs(t, p.Probe(), reaper.ErrReset)
}

// Bytes are not remembered.
func TestProberForgetsBytes(t *testing.T) {
	c, s := pair(t)
	p, err := reaper.NewProber(c)
	require.NoError(t, err)
	send(t, s, "x")
	require.Eventually(t, func() bool { return errors.Is(p.Probe(), reaper.ErrUnexpectedData) }, patience, tick)
	_, err = io.ReadFull(c, make([]byte, 1))
	require.NoError(t, err)
	assert.NoError(t, p.Probe())
	require.NoError(t, c.Close())
	assert.ErrorIs(t, p.Probe(), net.ErrClosed)
}

// A probe waits neither for a Read that is blocked nor minds a deadline that has passed.
func TestProbeBesideRead(t *testing.T) {
	c, s := pair(t)
	require.NoError(t, c.SetReadDeadline(time.Unix(1, 0)))
	assert.NoError(t, reaper.Probe(c))
	require.NoError(t, c.SetReadDeadline(time.Time{}))

	read := make(chan error, 1)
	go func() {
		_, err := c.Read(make([]byte, 1))
		read <- err
	}()
	for range 100 {
		require.NoError(t, reaper.Probe(c))
	}
	require.NoError(t, s.CloseWrite())
	assert.ErrorIs(t, wait(t, read), io.EOF)
}

// A Prober does not allocate.
func TestProberAllocations(t *testing.T) {
	c, _ := pair(t)
	p, err := reaper.NewProber(c)
	require.NoError(t, err)
	assert.Zero(t, testing.AllocsPerRun(100, func() { _ = p.Probe() }))
}

// Datagrams have no end. An empty one looks like a FIN, and a watch tells nothing of it.
func TestDatagrams(t *testing.T) {
	s, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	defer func() { _ = s.Close() }()
	c, err := net.Dial("udp", s.LocalAddr().String())
	require.NoError(t, err)
	defer func() { _ = c.Close() }()
	var r reaper.Reaper
	var w reaper.Watch
	require.NoError(t, r.Watch(&w, c, nil))
	defer w.Stop()
	assert.NoError(t, reaper.Probe(c))
	_, err = s.WriteTo(nil, c.LocalAddr())
	require.NoError(t, err)
	wantProbe(t, c, reaper.ErrHangup)
	assert.NoError(t, w.Err())
}
