package pool_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Nobody dials for one of whom Admit is yet to say whether he may share, though another no comes first.
func TestNoDialWhileAdmitIsAsked(t *testing.T) {
	most := 1
	tell(t, func(s *story) {
		upTo(0)(s)
		s.MaxConnsPerKey = 2
		s.Admit = func(_ *conn, leases int) bool {
			if leases == 2 && most == 2 {
				time.Sleep(time.Second)
			}
			return leases <= most
		}
	}, func(s *story) {
		a, b := s.acquire("k"), s.acquire("k")
		w := s.queue(s.Context(), "k")
		most = 2
		go s.Wake(a.Conn())
		time.Sleep(time.Millisecond)
		b.Discard("broken") // there might be a dial now
		assert.False(s, w.isDone())
		time.Sleep(time.Second)
		require.True(s, w.isDone())
		assert.Same(s, a.Conn(), w.lease.Conn())
		s.wantDials(2)
		a.Release()
		w.lease.Release()
	})
}

// Nor where it is a dial that has taken too long that he would not wait for any longer.
func TestNoDialAnewWhileAdmitIsAsked(t *testing.T) {
	tell(t, func(s *story) {
		s.gate = make(chan error)
		s.Shared = func(string) bool { return true }
		s.Admit = func(*conn, int) bool { time.Sleep(time.Second); return true }
	}, func(s *story) {
		ctx, cancel := context.WithCancel(s.Context())
		s.queue(ctx, "k")
		a := s.queue(s.Context(), "k")
		cancel()
		time.Sleep(400 * time.Millisecond)
		s.wantDials(2) // a has waited for the first for a while
		b := s.queue(s.Context(), "k")
		s.gate <- nil // the first is done after all: a's own is b's now, and an old one
		synctest.Wait()
		require.True(s, a.isDone())
		assert.False(s, b.isDone())
		time.Sleep(2 * time.Second)
		require.True(s, b.isDone())
		assert.Same(s, a.lease.Conn(), b.lease.Conn())
		s.wantDials(2)
		a.lease.Release()
		b.lease.Release()
	})
}

// A no that counted one who did not need his yes in the end is not the last word.
func TestANoForTheSakeOfAnUnusedYes(t *testing.T) {
	most := 1
	tell(t, func(s *story) {
		upTo(0)(s)
		s.MaxConnsPerKey = 1
		s.Admit = func(_ *conn, leases int) bool {
			if most == 1 {
				return leases == 1
			}
			time.Sleep([]time.Duration{2: 1, 3: 3, 4: 4}[leases] * time.Millisecond)
			return leases <= most
		}
	}, func(s *story) {
		a := s.acquire("k")
		b := s.queue(s.Context(), "k")
		most = 3
		for range 2 {
			go s.Wake(a.Conn()) // both ask for b
		}
		time.Sleep(2 * time.Millisecond)
		require.True(s, b.isDone())
		c := s.queue(s.Context(), "k") // there are two, and one is asked for
		assert.False(s, c.isDone())
		time.Sleep(10 * time.Millisecond)
		require.True(s, c.isDone())
		a.Release()
		b.lease.Release()
		c.lease.Release()
	})
}

// tenth tells a story of a connection that nine share, and that admits so many. For a tenth this takes a millisecond to say.
func tenth(t *testing.T, admits int, then func(s *story, nine []lease)) {
	tell(t, func(s *story) {
		gated(upTo(admits))(s)
		admit := s.Admit
		s.Admit = func(c *conn, leases int) bool {
			if leases == 10 {
				time.Sleep(time.Millisecond)
			}
			return admit(c, leases)
		}
	}, func(s *story) {
		ws := s.queueMany(9)
		s.gate <- nil
		nine, _ := served(ws)
		require.Len(s, nine, 9)
		then(s, nine)
	})
}

// One who is told later that he may share counts among those who tell how many a connection admits, though another no comes first.
func TestSharedDialsCountWhoIsAskedAbout(t *testing.T) {
	tenth(t, 10, func(s *story, nine []lease) {
		w := s.queue(s.Context(), "k")
		ws := s.queueMany(20)
		assert.Equal(s, 2, s.Stats().Dialing)
		assert.False(s, w.isDone())
		time.Sleep(time.Millisecond)
		require.True(s, w.isDone())
		for range 2 {
			s.gate <- nil
		}
		time.Sleep(time.Millisecond)
		more, _ := served(ws)
		assert.Len(s, more, 20)
		s.wantDials(3)
		releaseAll(append(append(nine, w.lease), more...))
	})
}

// One who is told no in the end, and does not wait, is not counted on any more: those who came meanwhile get the dials that he spared.
func TestSharedDialsDoNotCountWhoWasRefused(t *testing.T) {
	tenth(t, 9, func(s *story, nine []lease) {
		go func() {
			_, ok := s.TryAcquire("k")
			assert.False(s, ok)
		}()
		s.waited()
		ws := s.queueMany(20)
		assert.Equal(s, 2, s.Stats().Dialing)
		time.Sleep(2 * time.Millisecond)
		assert.Equal(s, 3, s.Stats().Dialing)
		for range 3 {
			s.gate <- nil
		}
		assert.Zero(s, s.waited().Waiting)
		more, _ := served(ws)
		assert.Len(s, more, 20)
		s.wantDials(4)
		releaseAll(append(nine, more...))
	})
}
