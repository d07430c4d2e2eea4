//go:build linux || darwin || dragonfly || freebsd || netbsd || openbsd

package reaper_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/reaper"
)

// What either end of a connection does in a round.
const (
	peerNothing = iota
	peerSends
	peerCloses
	peerHalfCloses
	peerResets
	peerActions
)

const (
	ownNothing = iota
	ownHalfCloses
	ownStops
	ownCloses
	ownStopsThenCloses
	ownActions
)

// When it happens.
const (
	atOnce = iota
	peerFirst
	ownFirst
	beforeWatch // the peer's part
	orders
)

// A round is a connection that random things happen to, from both ends.
type round struct {
	peer, own, order int

	client, server *net.TCPConn
	watch          reaper.Watch
	calls          atomic.Int32
	called         chan error // capacity 2
}

func (r *round) String() string {
	return fmt.Sprintf("peer action %d, own action %d, order %d", r.peer, r.own, r.order)
}

// gone reports whether the peer hangs up.
func (r *round) gone() bool { return r.peer >= peerCloses }

// ended reports whether this side ends the watch.
func (r *round) ended() bool { return r.own >= ownStops }

// want is what is reported if this side does not end the watch.
func (r *round) want() error {
	switch {
	case r.peer == peerResets:
		return reaper.ErrReset
	case r.gone():
		return reaper.ErrHangup
	}
	return nil
}

func (r *round) actPeer() {
	switch r.peer {
	case peerSends:
		_, _ = r.server.Write([]byte("x"))
	case peerCloses:
		_ = r.server.Close()
	case peerHalfCloses:
		_ = r.server.CloseWrite()
	case peerResets:
		_ = r.server.SetLinger(0)
		_ = r.server.Close()
	}
}

func (r *round) actOwn() {
	switch r.own {
	case ownHalfCloses:
		_ = r.client.CloseWrite()
	case ownStops:
		r.watch.Stop()
	case ownCloses:
		_ = r.client.Close()
		r.watch.Stop()
	case ownStopsThenCloses:
		r.watch.Stop()
		_ = r.client.Close()
	}
}

// play lets it happen, and sees to it that a hang-up that must be reported is.
func (r *round) play(l *net.TCPListener, rp *reaper.Reaper) error {
	var err error
	if r.client, r.server, err = connect(l); err != nil {
		return err
	}
	defer r.client.Close()
	defer r.server.Close()
	if r.order == beforeWatch {
		r.actPeer()
	}
	defer runtime.KeepAlive(rp)
	err = rp.Watch(&r.watch, r.client, ownerFunc(func(err error) {
		r.calls.Add(1)
		r.called <- err
	}))
	if err != nil {
		return err
	}
	defer r.watch.Stop()
	switch r.order {
	case atOnce:
		var wg sync.WaitGroup
		wg.Go(r.actPeer)
		r.actOwn()
		wg.Wait()
	case peerFirst:
		r.actPeer()
		r.actOwn()
	case ownFirst:
		r.actOwn()
		r.actPeer()
	case beforeWatch:
		r.actOwn()
	}
	if !r.gone() || r.ended() {
		return nil
	}
	select {
	case got := <-r.called:
		if got != r.want() {
			return fmt.Errorf("reported %w, want %w", got, r.want())
		}
		return nil
	case <-time.After(patience):
		return fmt.Errorf("not reported: %w", r.want())
	}
}

// check looks at what was reported when all is over.
func (r *round) check() error {
	calls, err := r.calls.Load(), r.watch.Err()
	switch {
	case calls > 1:
		return fmt.Errorf("reported %d times", calls)
	case calls == 1 != (err != nil):
		return fmt.Errorf("called %d times, but Err is %v", calls, err)
	case calls == 1 && !r.gone():
		return fmt.Errorf("reported without reason: %w", err)
	case calls == 1 && r.ended() && r.order == ownFirst:
		return fmt.Errorf("reported after Stop: %w", err)
	}
	return nil
}

// Whatever happens to connections under watch, in whatever order: each hang-up of a peer is reported, once and as
// what it is, unless this side ended the watch; nothing else ever is; and nothing after Stop.
func TestRandomInterleavings(t *testing.T) {
	const workers, rounds = 8, 1250
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	var rp reaper.Reaper
	played := make([][]*round, workers)
	var wg sync.WaitGroup
	for n := range workers {
		wg.Go(func() {
			l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
			if !assert.NoError(t, err) {
				return
			}
			defer l.Close()
			rnd := rand.New(rand.NewPCG(seed, uint64(n)))
			for range rounds {
				r := &round{peer: rnd.IntN(peerActions), own: rnd.IntN(ownActions), order: rnd.IntN(orders), called: make(chan error, 2)}
				if !assert.NoError(t, r.play(l, &rp), r) {
					return
				}
				played[n] = append(played[n], r)
			}
		})
	}
	wg.Wait()
	wantGoroutines(t, 0) // and so no callback is under way
	for _, rounds := range played {
		for _, r := range rounds {
			require.NoError(t, r.check(), r)
		}
	}
}
