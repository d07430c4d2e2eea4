//go:build linux || darwin || dragonfly || freebsd || netbsd || openbsd

package reaper_test

import (
	"io"
	"net"
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/reaper"
)

// After Stop the connection lives on: nothing is reported, and it can be watched anew.
func TestStop(t *testing.T) {
	var r reaper.Reaper
	watchedPair(t, &r) // so that the kernel's side stays
	c, s := pair(t)
	w, called := watch(t, &r, c)
	w.Stop()
	send(t, s, "x")
	_, err := io.ReadFull(c, make([]byte, 1))
	require.NoError(t, err)
	require.NoError(t, s.CloseWrite())
	settle(t, &r)
	assert.Empty(t, called)
	assert.NoError(t, w.Err())

	w2, called2 := watch(t, &r, c)
	assert.Equal(t, reaper.ErrHangup, wait(t, called2))
	w2.Stop()
	assert.Equal(t, reaper.ErrHangup, w2.Err())
	_, called3 := watch(t, &r, c) // also after it has told
	assert.Equal(t, reaper.ErrHangup, wait(t, called3))
	assert.Empty(t, called)
}

// A second Stop does nothing to a later watch of the same connection.
func TestStopTwice(t *testing.T) {
	var r reaper.Reaper
	watchedPair(t, &r)
	c, s := pair(t)
	w, _ := watch(t, &r, c)
	w.Stop()
	_, called := watch(t, &r, c)
	w.Stop()
	require.NoError(t, s.Close())
	assert.Equal(t, reaper.ErrHangup, wait(t, called))
}

// A connection of which a duplicate lives on is watched anew after Stop, and nothing of it is told to the first watch.
func TestStopDuplicated(t *testing.T) {
	var r reaper.Reaper
	watchedPair(t, &r)
	c, s := pair(t)
	dup, err := c.File()
	require.NoError(t, err)
	defer dup.Close()
	w, called := watch(t, &r, c)
	w.Stop()
	_, called2 := watch(t, &r, c)
	require.NoError(t, s.Close())
	wait(t, called2)
	assert.Empty(t, called)
}

// Stop, Watch and Close may be called from within the callback.
func TestCallsInCallback(t *testing.T) {
	var r reaper.Reaper
	c, s := pair(t)
	next, nextPeer := pair(t)
	watched, watchedNext := make(chan *reaper.Watch, 1), make(chan *reaper.Watch, 1)
	called := make(chan error, 2)
	w, err := begin(t, &r, c, func(error) {
		(<-watched).Stop()
		_ = c.Close()
		w, err := begin(t, &r, next, func(err error) { called <- err })
		assert.NoError(t, err)
		watchedNext <- w
	})
	require.NoError(t, err)
	watched <- w
	require.NoError(t, s.Close())
	w = wait(t, watchedNext)
	defer w.Stop()
	require.NoError(t, nextPeer.Close())
	assert.Equal(t, reaper.ErrHangup, wait(t, called))
}

// Stop does not wait for a callback that has begun, and Err tells that it has.
func TestStopDuringCallback(t *testing.T) {
	var r reaper.Reaper
	c, s := pair(t)
	began, finish := make(chan error), make(chan struct{})
	w, err := begin(t, &r, c, func(err error) {
		began <- err
		<-finish
	})
	require.NoError(t, err)
	require.NoError(t, s.Close())
	wait(t, began)
	w.Stop()
	assert.Equal(t, reaper.ErrHangup, w.Err())
	close(finish)
}

// An event that was fetched before Stop and comes after it is dropped.
func TestEventAfterStop(t *testing.T) {
	var r reaper.Reaper
	c, _ := pair(t)
	w, called := watch(t, &r, c)
	w.Stop()
	reaper.Fire(w, reaper.ErrHangup)
	assert.Empty(t, called)
	assert.NoError(t, w.Err())
}

// A Stop that meets the hang-up decides: what Err says after it is whether the owner is told.
func TestStopAgainstHangup(t *testing.T) {
	var r reaper.Reaper
	var mu sync.Mutex
	calls := map[int]bool{}
	said := map[int]bool{}
	for i := range 500 {
		c, s := pair(t)
		w, err := begin(t, &r, c, func(error) {
			mu.Lock()
			defer mu.Unlock()
			calls[i] = true
		})
		require.NoError(t, err)
		var wg sync.WaitGroup
		wg.Go(func() { _ = s.Close() })
		for range 2 {
			wg.Go(w.Stop)
		}
		wg.Wait()
		w.Stop()
		if w.Err() != nil {
			said[i] = true
		}
		require.NoError(t, c.Close())
	}
	wantGoroutines(t, 0)
	mu.Lock()
	defer mu.Unlock()
	assert.Equal(t, said, calls)
}

// A descriptor that is used again inherits neither the hang-up nor the Stop of the connection that had it before.
func TestDescriptorReuse(t *testing.T) {
	var r reaper.Reaper
	watchedPair(t, &r)
	for range 300 {
		c, s := pair(t)
		w, _ := watch(t, &r, c)
		c2, s2 := pair(t)
		var wg sync.WaitGroup
		wg.Go(func() { _ = s.Close() })
		require.NoError(t, c.Close())
		c3, s3 := pair(t) // with the descriptor of c, most likely
		w2, called2 := watch(t, &r, c2)
		w3, called3 := watch(t, &r, c3)
		w.Stop()
		wg.Wait()
		require.NoError(t, w2.Err())
		require.NoError(t, w3.Err())
		require.NoError(t, s2.Close())
		require.NoError(t, s3.Close())
		wait(t, called2)
		wait(t, called3)
		for _, c := range []io.Closer{c2, c3} {
			require.NoError(t, c.Close())
		}
		w2.Stop()
		w3.Stop()
	}
}

// A connection that is watched once more is so by the second watch alone.
func TestWatchTwice(t *testing.T) {
	var r reaper.Reaper
	c, s := pair(t)
	w, called := watch(t, &r, c)
	_, called2 := watch(t, &r, c)
	require.NoError(t, s.Close())
	assert.Equal(t, reaper.ErrHangup, wait(t, called2))
	settle(t, &r)
	assert.NoError(t, w.Err())
	assert.Empty(t, called)
}

// A connection that lives on after Stop may be watched again, also when its peer hung up in between, and wakes nobody else.
func TestWatchAgain(t *testing.T) {
	var r reaper.Reaper
	watchedPair(t, &r)
	for _, between := range []bool{false, true} {
		c, s := pair(t)
		w, called := watch(t, &r, c)
		w.Stop()
		if between {
			require.NoError(t, s.CloseWrite())
			settle(t, &r)
		}
		_, called2 := watch(t, &r, c)
		if !between {
			require.NoError(t, s.CloseWrite())
		}
		assert.Equal(t, reaper.ErrHangup, wait(t, called2))
		assert.NoError(t, w.Err())
		assert.Empty(t, called)
	}
}

// A Watch serves one connection, once; where it could not begin it is as good as new.
func TestWatchServesOnce(t *testing.T) {
	var r reaper.Reaper
	defer runtime.KeepAlive(&r)
	closed, _ := pair(t)
	require.NoError(t, closed.Close())
	c, _ := pair(t)
	var w reaper.Watch
	w.Stop()
	assert.NoError(t, w.Err())
	require.ErrorIs(t, r.Watch(&w, closed, nil), net.ErrClosed)
	require.NoError(t, r.Watch(&w, c, nil))
	assert.ErrorContains(t, r.Watch(&w, c, nil), "reaper: watch: ")
	w.Stop()
	assert.ErrorContains(t, r.Watch(&w, c, nil), "used before")
}
