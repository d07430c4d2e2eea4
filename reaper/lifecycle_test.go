//go:build linux || darwin || dragonfly || freebsd || netbsd || openbsd

package reaper_test

import (
	"net"
	"os"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"
	"weak"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/reaper"
)

// There is one goroutine while something is watched, and none before and after, as often as one likes.
func TestGoroutine(t *testing.T) {
	var r reaper.Reaper
	for range 3 {
		wantGoroutines(t, 0)
		c1, _ := pair(t)
		c2, _ := pair(t)
		w1, _ := watch(t, &r, c1)
		w2, _ := watch(t, &r, c2)
		wantGoroutines(t, 1)
		w1.Stop()
		wantGoroutines(t, 1)
		w2.Stop()
		wantGoroutines(t, 0)
	}
}

// A watch that has told is over, also if nobody stops it; so is the goroutine after the last one.
func TestGoroutineEndsAfterHangup(t *testing.T) {
	var r reaper.Reaper
	c, s := pair(t)
	called := make(chan error, 1)
	w, err := begin(t, &r, c, func(err error) { called <- err })
	require.NoError(t, err)
	require.NoError(t, s.Close())
	wait(t, called)
	wantGoroutines(t, 0)
	assert.Equal(t, reaper.ErrHangup, w.Err())
	w.Stop()
}

// Connections that come and go one at a time, from several goroutines, begin and end the reaper's goroutine all the
// time; every hang-up is reported.
func TestChurn(t *testing.T) {
	var r reaper.Reaper
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for range 200 {
				l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
				if !assert.NoError(t, err) {
					return
				}
				c, s, err := connect(l)
				_ = l.Close()
				if !assert.NoError(t, err) {
					return
				}
				called := make(chan error, 1)
				w, err := begin(t, &r, c, func(err error) { called <- err })
				if !assert.NoError(t, err) {
					return
				}
				_ = s.Close()
				select {
				case <-called:
				case <-time.After(patience):
					assert.Fail(t, "no hang-up was reported")
				}
				_ = c.Close()
				w.Stop()
			}
		})
	}
	wg.Wait()
	wantGoroutines(t, 0)
}

// Thousands of connections that hang up at once are all reported, by one goroutine.
func TestManyAtOnce(t *testing.T) {
	const n = 2000
	var r reaper.Reaper
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	defer l.Close()
	called := make(chan int, 2*n)
	var servers []*net.TCPConn
	for i := range n {
		c, s, err := connect(l)
		require.NoError(t, err)
		defer c.Close()
		defer s.Close()
		w, err := begin(t, &r, c, func(error) { called <- i })
		require.NoError(t, err)
		defer w.Stop()
		servers = append(servers, s)
	}
	wantGoroutines(t, 1)
	for _, s := range servers {
		require.NoError(t, s.Close())
	}
	seen := map[int]bool{}
	for range n {
		seen[wait(t, called)] = true
	}
	assert.Len(t, seen, n)
	assert.Empty(t, called)
}

// A Reaper that is dropped with its watch on is collected, and its goroutine ends, though the watch is kept.
func TestDropped(t *testing.T) {
	c, _ := pair(t)
	var w reaper.Watch
	defer w.Stop()
	dropped := func() weak.Pointer[reaper.Reaper] {
		r := new(reaper.Reaper)
		require.NoError(t, r.Watch(&w, c, nil))
		wantGoroutines(t, 1)
		return weak.Make(r)
	}()
	require.Eventually(t, func() bool {
		runtime.GC()
		return dropped.Value() == nil && goroutines() == 0
	}, patience, tick)
}

// A first watch that finds no descriptor left says so, and the next one works.
func TestTooManyOpenFiles(t *testing.T) {
	var r reaper.Reaper
	c, s := pair(t)
	restore := exhaustDescriptors(t)
	_, err := begin(t, &r, c, nil)
	restore()
	assert.ErrorIs(t, err, syscall.EMFILE)
	assert.ErrorContains(t, err, "reaper: watch: ")
	wantGoroutines(t, 0)

	_, called := watch(t, &r, c)
	require.NoError(t, s.Close())
	assert.Equal(t, reaper.ErrHangup, wait(t, called))
}

// exhaustDescriptors lowers the limit to the descriptors that are open, until restore is called.
func exhaustDescriptors(t *testing.T) (restore func()) {
	t.Helper()
	var old syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &old))
	f, err := os.Open(os.DevNull)
	require.NoError(t, err)
	lowestFree := f.Fd()
	require.NoError(t, f.Close())
	low := old
	setLimit(&low.Cur, lowestFree)
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &low))
	return func() { require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &old)) }
}

// setLimit assigns whatever the system's type is.
func setLimit[T int64 | uint64](limit *T, n uintptr) { *limit = T(n) }

// A connection that was closed cannot be watched, and leaves nothing behind.
func TestWatchClosed(t *testing.T) {
	var r reaper.Reaper
	c, _ := pair(t)
	require.NoError(t, c.Close())
	_, err := begin(t, &r, c, nil)
	assert.ErrorIs(t, err, net.ErrClosed)
	wantGoroutines(t, 0)
	runtime.KeepAlive(&r) // or the collector would have ended it
}

// Without a callback Err tells.
func TestNoCallback(t *testing.T) {
	var r reaper.Reaper
	c, s := pair(t)
	w, err := begin(t, &r, c, nil)
	require.NoError(t, err)
	defer w.Stop()
	require.NoError(t, s.Close())
	require.Eventually(t, func() bool { return w.Err() == reaper.ErrHangup }, patience, tick)
}
