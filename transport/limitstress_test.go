//go:build linux

package transport_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/watertight-go/watertight/internal/sockstat"
	"github.com/watertight-go/watertight/transport"
)

// Under MaxConnsPerHost dials fail and are slow, requests are cancelled and bodies closed early: the limit is never passed, as
// Stats and the dialer count it, everybody who is patient gets an answer, and in the end nothing is counted any more.
func TestLimitUnderStress(t *testing.T) {
	const limit, workers, rounds = 3, 10, 30
	ours1(t, sized, func(s *story) {
		seed := rand.Uint64()
		s.Logf("seed %d", seed)
		var dialing, most atomic.Int32
		s.ours.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if n := dialing.Add(1); n > limit {
				s.Errorf("%d dials at once", n)
			}
			defer dialing.Add(-1)
			switch rand.IntN(6) {
			case 0:
				return nil, &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
			case 1:
				time.Sleep(time.Duration(rand.IntN(2000)) * time.Microsecond)
			}
			return s.dial(ctx, network, addr)
		}
		done := make(chan struct{})
		var counting, wg sync.WaitGroup
		counting.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				for _, o := range s.ours.Stats().Origins {
					most.Store(max(most.Load(), int32(o.Idle+o.Leased+o.Dialing)))
				}
			}
		})
		for w := range workers {
			wg.Go(func() {
				r := rand.New(rand.NewPCG(seed, uint64(w)))
				for range rounds {
					s.press(r)
				}
			})
		}
		wg.Wait()
		close(done)
		counting.Wait()
		assert.EqualValues(s, limit, most.Load())
		s.eventually("only idle ones are left", func() bool {
			st := s.ours.Stats()
			return st.Leased+st.Dialing+st.Waiting == 0 && sockets(s, s.server)[sockstat.Established] == st.Idle
		})
		s.rt.CloseIdleConnections()
		s.wantNoSockets()
		st := s.ours.Stats()
		assert.Zero(s, st.Open)
		assert.Equal(s, map[string]transport.Counts{s.server.URL: st.Counts}, st.Origins)
	}, func(tr *http.Transport) { tr.MaxConnsPerHost = limit })
}

// press sends a request that may be cancelled, and reads all or some of its answer.
func (s *story) press(r *rand.Rand) {
	ctx, cancel := context.WithCancel(s.Context())
	defer cancel()
	patient := r.IntN(3) > 0
	if !patient {
		time.AfterFunc(time.Duration(r.IntN(3000))*time.Microsecond, cancel)
	}
	path := []string{"/10", "/20000", "/300000"}[r.IntN(3)]
	resp, err := s.rt.RoundTrip(s.request(http.MethodGet, path, nil).WithContext(ctx))
	switch {
	case err == nil && r.IntN(2) == 0:
		_, _ = resp.Body.Read(make([]byte, 1000))
		_ = resp.Body.Close()
	case err == nil:
		n, err := drain(resp)
		if patient {
			assert.NoError(s, err)
			assert.EqualValues(s, map[string]int{"/10": 10, "/20000": 20000, "/300000": 300000}[path], n)
		}
	case patient:
		assert.ErrorIs(s, err, syscall.ECONNREFUSED)
	default:
		assert.True(s, errors.Is(err, context.Canceled) || errors.Is(err, syscall.ECONNREFUSED), err)
	}
}
