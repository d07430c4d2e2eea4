//go:build linux || darwin || dragonfly || freebsd || netbsd || openbsd

package reaper_test

import (
	"math/rand/v2"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/watertight-go/watertight/reaper"
)

// Random things happen to connections under watch, from both ends at once: each hang-up of a peer is reported exactly
// once if nothing else ended the watch, and nothing else is ever reported.
func TestRandomInterleavings(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	var r reaper.Reaper
	// One connection is watched throughout, or the goroutine would begin and end all the time, which half of the
	// rounds do.
	keeper, _ := pair(t)
	var wg sync.WaitGroup
	for worker := range 10 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(seed, uint64(worker)))
			for range 1000 {
				if worker == 0 {
					if w, err := r.Watch(keeper, func(error) {}); err == nil {
						w.Stop()
					}
				}
				interleave(t, &r, rnd)
			}
		})
	}
	wg.Wait()
}

func interleave(t *testing.T, r *reaper.Reaper, rnd *rand.Rand) {
	c, s := localPair()
	defer c.Close()
	defer s.Close()
	assert.NoError(t, c.SetLinger(0)) // no TIME_WAIT: there are too many rounds for the ports of a machine
	called := make(chan error, 2)
	w, err := r.Watch(c, func(err error) { called <- err })
	if !assert.NoError(t, err) {
		return
	}
	peer, own := rnd.IntN(4), rnd.IntN(4)
	if peer != 0 {
		assert.NoError(t, s.SetLinger(0))
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		switch peer {
		case 0:
			_ = s.Close()
		case 1:
			_ = s.Close() // a RST, by the linger above
		case 2:
			_, _ = s.Write([]byte("x"))
		}
	}()
	switch own {
	case 0:
		_ = c.Close()
		w.Stop()
	case 1:
		w.Stop()
	case 2:
		_ = c.CloseWrite()
	}
	<-done
	switch gone := peer < 2; {
	case gone && own >= 2:
		assert.Equal(t, []error{reaper.ErrHangup, reaper.ErrReset}[peer], wait(t, called), "peer %d, own %d", peer, own)
	case gone:
		assert.LessOrEqual(t, len(called), 1, "peer %d, own %d", peer, own) // it may have come before our own end
		return
	default:
		assert.NoError(t, w.Err(), "peer %d, own %d", peer, own)
	}
	w.Stop()
	assert.Empty(t, called, "peer %d, own %d", peer, own)
}

// localPair is pair without the cleanup, which would pile up, and without the test, which is not this goroutine's to end.
func localPair() (client, server *net.TCPConn) {
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		panic(err)
	}
	defer l.Close()
	c, err := net.DialTCP("tcp", nil, l.Addr().(*net.TCPAddr))
	if err != nil {
		panic(err)
	}
	s, err := l.AcceptTCP()
	if err != nil {
		panic(err)
	}
	return c, s
}
