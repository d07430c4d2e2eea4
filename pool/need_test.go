package pool_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/pool"
)

// gated makes dials wait for the story's gate.
func gated(set func(*story)) func(*story) {
	return func(s *story) {
		set(s)
		s.gate = make(chan error)
	}
}

func (s *story) queueMany(n int) (ws []*waiting) {
	for range n {
		ws = append(ws, s.queue(s.Context(), "k"))
	}
	return ws
}

// served returns how many of those who waited have a connection, and how many an error.
func served(ws []*waiting) (leases []lease, failed int) {
	for _, w := range ws {
		switch {
		case !w.isDone():
		case w.err != nil:
			failed++
		default:
			leases = append(leases, w.lease)
		}
	}
	return leases, failed
}

func releaseAll(ls []lease) {
	for _, l := range ls {
		l.Release()
	}
}

// Nobody knows how many a connection admits before there is one: all who come share a dial. From then on there are as many as those who
// wait need, at once.
func TestSharedDialsThatAreNeeded(t *testing.T) {
	for name, tt := range map[string]struct{ admits, waiters, then int }{
		"one at a time":      {1, 50, 49},
		"four":               {4, 10, 2},
		"one more is enough": {100, 120, 1},
		"one is enough":      {250, 120, 0},
	} {
		t.Run(name, func(t *testing.T) {
			tell(t, gated(upTo(tt.admits)), func(s *story) {
				ws := s.queueMany(tt.waiters)
				assert.Equal(s, pool.Gauges{Dialing: 1, Waiting: tt.waiters}, s.Stats().Gauges)
				s.gate <- nil
				ls, _ := served(ws)
				assert.Len(s, ls, min(tt.admits, tt.waiters))
				assert.Equal(s, tt.then, s.Stats().Dialing)
				for i := range tt.then {
					s.gate <- nil
					ls, _ = served(ws)
					assert.Len(s, ls, min(tt.admits*(i+2), tt.waiters))
				}
				s.wantDials(int64(1 + tt.then))
				releaseAll(ls)
			})
		})
	}
}

// A dial is begun for the first who needs it, not for each.
func TestSharedDialsAreBegunAsTheyAreNeeded(t *testing.T) {
	tell(t, gated(upTo(3)), func(s *story) {
		s.gate = nil
		held := []lease{s.acquire("k"), s.acquire("k"), s.acquire("k")}
		s.gate = make(chan error)
		var ws []*waiting
		for i := range 7 {
			ws = append(ws, s.queueMany(1)...)
			assert.Equal(s, 1+i/3, s.Stats().Dialing, "%d wait", i+1)
		}
		releaseAll(held)
		ls, _ := served(ws)
		assert.Len(s, ls, 3)
		assert.Equal(s, 3, s.Stats().Dialing, "as with others, dials go on")
		for range 2 {
			s.gate <- nil
		}
		ls, _ = served(ws)
		assert.Len(s, ls, 7)
		s.gate <- nil
		releaseAll(ls)
		s.wantDials(4)
		assert.Equal(s, 4, s.waited().Idle)
	})
}

// What MaxConnsPerKey allows is not exceeded, and with OneShared nothing is dialed at all.
func TestSharedDialsThatAreNeededUnderALimit(t *testing.T) {
	for name, row := range map[string]struct {
		limit func(*story)
		then  int
	}{
		"MaxConnsPerKey": {func(s *story) { s.MaxConnsPerKey = 3 }, 2},
		"OneShared":      {func(s *story) { s.OneShared = true }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			tell(t, gated(func(s *story) { upTo(1)(s); row.limit(s) }), func(s *story) {
				ws := s.queueMany(10)
				s.gate <- nil
				assert.Equal(s, pool.Gauges{Open: 1, Leased: 1, Leases: 1, Waiting: 9, Dialing: row.then}, s.waited())
				for range row.then {
					s.gate <- nil
				}
				for n := 1 + row.then; len(ws) > 0; n = min(n, len(ws)) {
					ls, _ := served(ws)
					assert.Len(s, ls, n)
					releaseAll(ls)
					ws = ws[n:]
				}
				s.wantDials(int64(1 + row.then))
			})
		})
	}
}

// waited returns the gauges when everybody waits.
func (s *story) waited() pool.Gauges {
	synctest.Wait()
	return s.Stats().Gauges
}

// Each of several dials that fail tells its share of those who wait, and no other is begun for them: when the peer has gone away, all have
// heard of it after as many dials as there were.
func TestErrorsOfSharedDials(t *testing.T) {
	for name, tt := range map[string]struct{ admits, waiters, dials int }{
		"one at a time":       {1, 1000, 999},
		"a hundred at a time": {100, 1000, 9},
		"all but one":         {7, 22, 3},
	} {
		t.Run(name, func(t *testing.T) {
			tell(t, gated(upTo(tt.admits)), func(s *story) {
				ws := s.queueMany(tt.waiters)
				s.gate <- nil
				ls, _ := served(ws)
				require.Len(s, ls, tt.admits)
				require.Equal(s, tt.dials, s.Stats().Dialing)
				s.Retire(ls[0].Conn(), "gone")
				for left := tt.dials; left > 0; left-- {
					s.gate <- errDial
					g := s.waited()
					assert.Equal(s, left-1, g.Dialing)
					assert.LessOrEqual(s, g.Waiting, g.Dialing*tt.admits, "who waits for the others")
				}
				_, failed := served(ws)
				assert.Equal(s, tt.waiters-tt.admits, failed)
				s.wantDials(int64(1 + tt.dials))
				releaseAll(ls)
			})
		})
	}
}

// One of several that fails takes nothing from those who wait for the others.
func TestOneOfSharedDialsFails(t *testing.T) {
	tell(t, gated(upTo(2)), func(s *story) {
		ws := s.queueMany(9)
		s.gate <- nil // and seven wait for four
		s.gate <- errDial
		_, failed := served(ws)
		assert.Equal(s, 2, failed)
		for range 3 {
			s.gate <- nil
		}
		ls, failed := served(ws)
		assert.Len(s, ls, 7)
		assert.Equal(s, 2, failed)
		s.wantDials(5)
		releaseAll(ls)
	})
}

// What connections admitted that are not lent any more is forgotten with them: one dial finds out anew.
func TestSharedDialAfterTheLastConnection(t *testing.T) {
	for name, leave := range map[string]func(*story, lease){
		"retired":   func(s *story, l lease) { s.Retire(l.Conn(), "gone") },
		"discarded": func(_ *story, l lease) { l.Discard("gone") },
		"hijacked":  func(_ *story, l lease) { l.Hijack() },
		"too old":   func(*story, lease) { time.Sleep(time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			tell(t, gated(func(s *story) { upTo(1)(s); s.MaxLifetime, s.OneShared = time.Hour, name == "too old" }), func(s *story) {
				first := s.queueMany(1)
				s.gate <- nil
				ls, _ := served(first)
				require.Len(s, ls, 1)
				leave(s, ls[0])
				ws := s.queueMany(5)
				assert.Equal(s, 1, s.Stats().Dialing)
				s.gate <- errDial
				_, failed := served(ws)
				assert.Equal(s, 5, failed)
				s.wantDials(2)
				releaseAll(ls)
			})
		})
	}
}

// An Admit that retires the connection of which it says no has found it broken, which says nothing about others.
func TestAdmitThatRetires(t *testing.T) {
	tell(t, gated(func(s *story) {
		s.Shared = func(string) bool { return true }
		s.Admit = func(c *conn, _ int) bool { s.Retire(c, "broken"); return false }
	}), func(s *story) {
		ws := s.queueMany(10)
		for i := range 3 {
			s.gate <- nil
			ls, _ := served(ws)
			assert.Len(s, ls, i+1)
			assert.Equal(s, 1, s.Stats().Dialing)
		}
		s.gate <- errDial
		ls, failed := served(ws)
		assert.Equal(s, 7, failed)
		releaseAll(ls)
		s.wantClosed("broken", 3)
	})
}

// When the dials that are waited for take their time, one more finds out whether that leads anywhere, and then another: not one for each
// of them.
func TestSharedDialsOfThoseWhoWereServed(t *testing.T) {
	tell(t, gated(upTo(4)), func(s *story) {
		held := s.queueMany(4)
		s.gate <- nil
		ls, _ := served(held)
		ws := s.queueMany(16)
		assert.Equal(s, 4, s.Stats().Dialing)
		releaseAll(ls)
		ls, _ = served(ws)
		require.Len(s, ls, 4)
		for range 3 {
			time.Sleep(200 * time.Millisecond)
			assert.Equal(s, pool.Gauges{Open: 1, Leased: 1, Leases: 4, Waiting: 12, Dialing: int(s.dialed.Load()) - 1}, s.waited())
		}
		s.wantDials(7)
		for range 3 {
			s.gate <- nil
		}
		ls, _ = served(ws)
		assert.Len(s, ls, 16)
		releaseAll(ls)
	})
}

// A dial of 250 ms may lead nowhere: of those who share it one begins another, and so on every 250 ms. Whoever began it, and is alone, or may
// not dial, waits for it.
func TestSharedDialThatHangs(t *testing.T) {
	for name, row := range map[string]struct{ waiters, limit, after250ms, after1s int }{
		"many wait":      {10, 0, 2, 5},
		"two wait":       {2, 0, 2, 2},
		"one waits":      {1, 0, 1, 1},
		"MaxConnsPerKey": {10, 3, 2, 3},
	} {
		t.Run(name, func(t *testing.T) {
			tell(t, gated(func(s *story) { upTo(100)(s); s.MaxConnsPerKey = row.limit }), func(s *story) {
				ws := s.queueMany(row.waiters)
				time.Sleep(249 * time.Millisecond)
				assert.Equal(s, 1, s.waited().Dialing)
				time.Sleep(time.Millisecond)
				assert.Equal(s, row.after250ms, s.waited().Dialing)
				time.Sleep(750 * time.Millisecond)
				assert.Equal(s, row.after1s, s.waited().Dialing)
				s.gate <- nil // whichever it is
				ls, _ := served(ws)
				require.Len(s, ls, row.waiters)
				s.wantDials(int64(row.after1s))
				releaseAll(ls)
			})
		})
	}
}

// Who waits for an old dial of another's has one of his own when those leave who waited for a younger one.
func TestSharedDialAfterTheLastHope(t *testing.T) {
	tell(t, gated(upTo(1)), func(s *story) {
		held := s.queueMany(1)
		s.gate <- nil
		first, leave := context.WithCancel(s.Context())
		s.queue(first, "k")
		leave()
		assert.Equal(s, pool.Gauges{Open: 1, Leased: 1, Leases: 1, Dialing: 1}, s.waited())
		ws := s.queueMany(1)
		second, leave := context.WithCancel(s.Context())
		s.queue(second, "k")
		time.Sleep(300 * time.Millisecond)
		assert.Equal(s, pool.Gauges{Open: 1, Leased: 1, Leases: 1, Waiting: 2, Dialing: 2}, s.waited())
		leave()
		assert.Equal(s, pool.Gauges{Open: 1, Leased: 1, Leases: 1, Waiting: 1, Dialing: 3}, s.waited())
		s.gate <- nil
		ls, _ := served(append(ws, held...))
		assert.Len(s, ls, 2)
		releaseAll(ls)
	})
}

// Of connections that become too old together none is counted on any more.
func TestSharedDialsWhenConnectionsBecomeTooOldTogether(t *testing.T) {
	tell(t, gated(func(s *story) {
		s.Shared = func(string) bool { return true }
		s.Admit = func(c *conn, leases int) bool { return leases <= []int{3, 1}[c.number-1] }
		s.MaxConnsPerKey, s.MaxLifetime = 10, 9 // too short for chance to have a part in it
	}), func(s *story) {
		old := s.queueMany(4)
		s.gate <- nil
		s.gate <- nil
		ls, _ := served(old)
		require.Len(s, ls, 4)
		ws := s.queueMany(2)
		assert.Equal(s, pool.Gauges{Open: 2, Leased: 2, Leases: 4, Waiting: 2, Dialing: 1}, s.waited())
		time.Sleep(time.Millisecond)
		assert.Equal(s, pool.Lifetime, s.Conns("k")[0].Retired)
		assert.Equal(s, pool.Gauges{Open: 2, Leased: 2, Leases: 4, Waiting: 2, Dialing: 1}, s.waited())
		s.gate <- errDial
		_, failed := served(ws)
		assert.Equal(s, 2, failed)
		releaseAll(ls)
	})
}

// Those who leave take their dials with them only as far as nobody else needs them.
func TestSharedDialsOfThoseWhoLeave(t *testing.T) {
	tell(t, gated(func(s *story) { upTo(2)(s); s.MaxIdlePerKey = -1 }), func(s *story) {
		held := s.queueMany(2)
		s.gate <- nil
		ctx, cancel := context.WithCancel(s.Context())
		leaving := []*waiting{s.queue(ctx, "k"), s.queue(ctx, "k"), s.queue(ctx, "k")}
		staying := s.queueMany(1)
		assert.Equal(s, 2, s.Stats().Dialing)
		cancel()
		_, failed := served(leaving)
		assert.Equal(s, 3, failed)
		assert.Equal(s, 1, s.waited().Dialing)
		s.gate <- nil
		ls, _ := served(append(held, staying...))
		assert.Len(s, ls, 3)
		s.wantDials(3)
		releaseAll(ls)
	})
}
