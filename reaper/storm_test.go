//go:build linux || darwin || dragonfly || freebsd || netbsd || openbsd

package reaper_test

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/reaper"
)

// A connection is watched, closed on both sides, stopped twice and looked at, all at once, beside others that come and go: Watch fails
// only with a closed connection, a callback comes at most once and only if Err says so, and nothing is left.
func TestEverythingAtOnce(t *testing.T) {
	var r reaper.Reaper
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	defer l.Close()
	type outcome struct {
		watch *reaper.Watch
		calls atomic.Int32
	}
	var played []*outcome
	for i := range 1500 {
		c, s, err := connect(l)
		require.NoError(t, err)
		o := &outcome{}
		played = append(played, o)
		var wg sync.WaitGroup
		wg.Go(func() {
			w, err := begin(t, &r, c, func(error) {
				o.calls.Add(1)
				_ = c.Close()
			})
			o.watch = w
			if err != nil {
				assert.True(t, errors.Is(err, net.ErrClosed), err)
				return
			}
			wg.Go(w.Stop)
			_ = w.Err()
			w.Stop()
		})
		wg.Go(func() { _ = s.Close() })
		if i%2 == 0 {
			wg.Go(func() { _ = c.Close() })
		}
		wg.Go(func() { _ = reaper.Probe(c) })
		wg.Wait()
		_ = c.Close()
	}
	wantGoroutines(t, 0)
	for _, o := range played {
		want := int32(0)
		if o.watch.Err() != nil {
			want = 1
		}
		assert.Equal(t, want, o.calls.Load())
	}
}

// Callbacks that stop all watches, their own and others', and begin new ones, in whatever order the hang-ups come.
func TestCallbacksStopEachOther(t *testing.T) {
	const n = 50
	for range 20 {
		var r reaper.Reaper
		var mu sync.Mutex
		var watches []*reaper.Watch
		var called atomic.Int32
		var peers []*net.TCPConn
		last, lastPeer := pair(t)
		told := make(chan error, 1)
		var once sync.Once
		mu.Lock()
		for range n {
			c, s := pair(t)
			peers = append(peers, s)
			w, err := begin(t, &r, c, func(error) {
				called.Add(1)
				mu.Lock()
				defer mu.Unlock()
				for _, w := range watches {
					w.Stop()
				}
				once.Do(func() {
					w, err := begin(t, &r, last, func(err error) { told <- err })
					assert.NoError(t, err)
					t.Cleanup(w.Stop)
				})
			})
			require.NoError(t, err)
			watches = append(watches, w)
		}
		mu.Unlock()
		var wg sync.WaitGroup
		for _, s := range peers {
			wg.Go(func() { _ = s.Close() })
		}
		wg.Wait()
		require.NoError(t, lastPeer.Close())
		assert.Equal(t, reaper.ErrHangup, wait(t, told))
		wantGoroutines(t, 0)
		assert.EqualValues(t, 1, called.Load(), "the first one stopped the others")
	}
}
