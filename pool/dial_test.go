package pool_test

import (
	"context"
	"errors"
	"io"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/pool"
)

// byName makes the dials of a story end one by one, each by the name in its Acquire's context.
func byName(s *story) map[string]chan error {
	gates := map[string]chan error{}
	for _, name := range []string{"a", "b", "c", "d"} {
		gates[name] = make(chan error, 1)
	}
	s.Dial = func(ctx context.Context, key string) (*conn, error) {
		n := s.dialed.Add(1)
		select {
		case err := <-gates[ctx.Value(name{}).(string)]:
			if err != nil {
				return nil, err
			}
			return &conn{key: key, number: n}, nil
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	return gates
}

type name struct{}

func (s *story) named(n string) context.Context { return context.WithValue(s.Context(), name{}, n) }

// The oldest waiter gets the first connection, whoever dialed it; then its own dial is for who is left without.
func TestTheOldestWaiterGetsTheFirstDial(t *testing.T) {
	var gates map[string]chan error
	tell(t, func(s *story) { gates = byName(s) }, func(s *story) {
		a, b := s.queue(s.named("a"), "k"), s.queue(s.named("b"), "k")
		gates["b"] <- nil
		require.True(s, a.isDone())
		assert.False(s, b.isDone())
		gates["a"] <- errDial
		require.True(s, b.isDone())
		assert.Equal(s, errDial, b.err, "b waited for a's dial by then")
		a.lease.Release()
	})
}

// A failed dial is its owner's alone: the others wait for theirs.
func TestAFailedDialFailsOne(t *testing.T) {
	var gates map[string]chan error
	tell(t, func(s *story) { gates = byName(s) }, func(s *story) {
		a, b, c := s.queue(s.named("a"), "k"), s.queue(s.named("b"), "k"), s.queue(s.named("c"), "k")
		gates["b"] <- errDial
		require.True(s, b.isDone())
		assert.Equal(s, errDial, b.err)
		assert.False(s, a.isDone() || c.isDone())
		gates["c"] <- nil
		require.True(s, a.isDone())
		gates["a"] <- nil
		require.True(s, c.isDone())
		a.lease.Release()
		c.lease.Release()
	})
}

// One who comes later takes over a dial that nobody waits for.
func TestAnAbandonedDialIsAdopted(t *testing.T) {
	var gates map[string]chan error
	tell(t, func(s *story) { gates = byName(s) }, func(s *story) {
		s.leave("a")
		b := s.queue(s.named("b"), "k")
		s.wantDials(1)
		gates["a"] <- nil
		require.True(s, b.isDone())
		require.NoError(s, b.err)
		assert.False(s, b.lease.Reused())
		b.lease.Release()
	})
}

// But one that is old, or grows old, may lead nowhere: who comes gets its connection, if that is done first, and does not rely on
// it.
func TestAnOldAbandonedDialIsNotReliedOn(t *testing.T) {
	for _, first := range []string{"a", "b"} {
		t.Run(first, func(t *testing.T) {
			var gates map[string]chan error
			tell(t, func(s *story) { gates = byName(s) }, func(s *story) {
				s.leave("a")
				time.Sleep(100 * time.Millisecond)
				b := s.queue(s.named("b"), "k")
				s.wantDials(1)
				time.Sleep(149 * time.Millisecond)
				s.wantDials(1)
				time.Sleep(time.Millisecond)
				synctest.Wait()
				s.wantDials(2)
				gates[first] <- nil
				require.True(s, b.isDone())
				require.NoError(s, b.err)
				assert.False(s, b.lease.Reused())
				b.lease.Release()
				gates[map[string]string{"a": "b", "b": "a"}[first]] <- nil

				ctx, cancel := context.WithCancel(s.named("c"))
				c := s.queue(ctx, "l")
				time.Sleep(time.Second)
				cancel()
				require.True(s, c.isDone())
				d := s.queue(s.named("d"), "l")
				s.wantDials(4)
				gates["d"] <- nil
				require.True(s, d.isDone())
				d.lease.Release()
			})
		})
	}
}

// Nor is it relied on by one who came to have it in other ways: from an older waiter that was served, from one who gave up, or under
// a limit that allowed nothing else until somebody left.
func TestAnOldDialIsReplacedHoweverItWasAdopted(t *testing.T) {
	for name, ways := range map[string]struct {
		limit int
		tell  func(s *story, gates map[string]chan error) (lost *waiting, held []*waiting)
	}{
		"an older one was served": {0, func(s *story, gates map[string]chan error) (*waiting, []*waiting) {
			s.leave("a")
			time.Sleep(reliedOnFor / 2)
			b := s.queue(s.named("b"), "k") // has a's
			c := s.queue(s.named("c"), "k")
			gates["c"] <- nil
			require.True(s, b.isDone())
			return c, []*waiting{b}
		}},
		"another gave up": {2, func(s *story, gates map[string]chan error) (*waiting, []*waiting) {
			gates["b"] <- nil
			b := s.queue(s.named("b"), "k")
			require.True(s, b.isDone())
			ctx, cancel := context.WithCancel(s.named("a"))
			a := s.queue(ctx, "k")
			c := s.queue(s.named("c"), "k")
			time.Sleep(reliedOnFor)
			cancel()
			require.True(s, a.isDone())
			b.lease.Discard("to make room")
			return c, nil
		}},
		"room came late": {2, func(s *story, gates map[string]chan error) (*waiting, []*waiting) {
			gates["b"] <- nil
			b := s.queue(s.named("b"), "k")
			require.True(s, b.isDone())
			s.leave("a")
			c := s.queue(s.named("c"), "k")
			time.Sleep(2 * reliedOnFor)
			b.lease.Discard("to make room")
			return c, nil
		}},
	} {
		t.Run(name, func(t *testing.T) {
			var gates map[string]chan error
			tell(t, func(s *story) { gates = byName(s); s.MaxConnsPerKey = ways.limit }, func(s *story) {
				lost, held := ways.tell(s, gates)
				time.Sleep(reliedOnFor)
				synctest.Wait()
				assert.False(s, lost.isDone())
				s.wantDials(3)
				gates["c"] <- nil
				require.True(s, lost.isDone())
				gates["a"] <- nil
				for _, q := range append(held, lost) {
					q.lease.Release()
				}
			})
		})
	}
}

// leave begins an Acquire that is given up at once, and leaves its dial behind.
func (s *story) leave(name string) {
	ctx, cancel := context.WithCancel(s.named(name))
	q := s.queue(ctx, "k")
	cancel()
	require.True(s, q.isDone())
}

// Where the limit allows no dial of their own they take it over, with its error.
func TestAnAbandonedDialIsAdoptedUnderTheLimit(t *testing.T) {
	var gates map[string]chan error
	tell(t, func(s *story) { gates = byName(s); s.MaxConnsPerKey = 1 }, func(s *story) {
		s.leave("a")
		b := s.queue(s.named("b"), "k")
		s.wantDials(1)
		gates["a"] <- errDial
		require.True(s, b.isDone())
		assert.Equal(s, errDial, b.err)
	})
}

// Of the abandoned dials the youngest are cancelled: the others will be done first.
func TestTheYoungestAbandonedDialsAreCancelled(t *testing.T) {
	var gates map[string]chan error
	tell(t, func(s *story) { gates = byName(s); s.MaxIdlePerKey = 1 }, func(s *story) {
		ctx, cancel := context.WithCancel(s.Context())
		for _, n := range []string{"a", "b", "c"} {
			s.queue(context.WithValue(ctx, name{}, n), "k")
		}
		cancel()
		synctest.Wait()
		assert.Equal(s, 1, s.Stats().Dialing)
		gates["a"] <- nil
		synctest.Wait()
		assert.Equal(s, pool.Gauges{Open: 1, Idle: 1}, s.Stats().Gauges)
		l := s.acquire("k")
		assert.True(s, l.Reused(), "it was idle: its peer may have given it up")
		l.Release()
	})
}

// A dial that is cancelled before it has begun ends all the same.
func TestADialCancelledBeforeItBegins(t *testing.T) {
	for range 100 {
		tell(t, func(s *story) {
			s.gate = make(chan error)
			s.MaxIdlePerKey, s.DialTimeout = -1, -1
		}, func(s *story) {
			ctx, cancel := context.WithCancel(s.Context())
			s.Shared = func(string) bool { cancel(); return false } // after Acquire has looked at ctx
			_, err := s.Acquire(ctx, "k")
			assert.ErrorIs(s, err, context.Canceled)
			synctest.Wait()
			assert.Zero(s, s.Stats().Dialing)
		})
	}
}

// A dial that was cancelled and yields a connection nevertheless: it is closed. Its slot is its own until then.
func TestACancelledDialThatSucceeds(t *testing.T) {
	release := make(chan struct{})
	tell(t, func(s *story) {
		s.MaxIdlePerKey, s.MaxConnsPerKey = -1, 1
		release = make(chan struct{})
		dial := s.Dial
		s.Dial = func(ctx context.Context, key string) (*conn, error) {
			if s.dialed.Load() == 0 {
				<-release // whatever ctx says
			}
			return dial(context.WithoutCancel(ctx), key)
		}
	}, func(s *story) {
		ctx, cancel := context.WithCancel(s.Context())
		a := s.queue(ctx, "k")
		cancel()
		require.True(s, a.isDone())
		b := s.queue(s.Context(), "k")
		assert.Equal(s, pool.Gauges{Dialing: 1, Waiting: 1}, s.Stats().Gauges)
		close(release)
		require.True(s, b.isDone())
		s.wantClosed(pool.Unwanted, 1)
		assert.EqualValues(s, 2, b.lease.Conn().number)
		b.lease.Discard("done")
	})
}

// A waiter that is served when its context has ended already, but before it could leave, hands on what it got.
func TestServedAfterTheEnd(t *testing.T) {
	for range 100 {
		tell(t, func(s *story) { s.MaxConnsPerKey = 1 }, func(s *story) {
			ctx, cancel := context.WithCancel(s.Context())
			held := s.acquire("k")
			a, b := s.queue(ctx, "k"), s.queue(s.Context(), "k")
			cancel()
			held.Release() // before or after a has left: a's goroutine runs by now
			require.True(s, a.isDone() && b.isDone())
			assert.ErrorIs(s, a.err, context.Canceled)
			assert.Same(s, held.Conn(), b.lease.Conn())
			assert.EqualValues(s, 1, s.Stats().Reuses)
			b.lease.Release()
		})
	}
}

// A new connection that is handed on like this is new to who gets it.
func TestAFreshConnectionHandedOnIsFresh(t *testing.T) {
	for range 100 {
		tell(t, func(s *story) { s.MaxConnsPerKey, s.gate = 1, make(chan error) }, func(s *story) {
			ctx, cancel := context.WithCancel(s.Context())
			s.OnOpen = func(*conn) { cancel() }
			a, b := s.queue(ctx, "k"), s.queue(s.Context(), "k")
			s.gate <- nil
			require.True(s, a.isDone() && b.isDone())
			assert.ErrorIs(s, a.err, context.Canceled)
			assert.False(s, b.lease.Reused())
			assert.Zero(s, s.Stats().Reuses)
			b.lease.Release()
			s.wantDials(1)
		})
	}
}

// Whatever Dial does, somebody is told.
func TestDialsThatMisbehave(t *testing.T) {
	same := &conn{}
	for what, c := range map[string]struct {
		want string
		dial func() *conn
	}{
		"nothing at all":     {"neither a connection nor an error", func() *conn { return nil }},
		"the same again":     {"holds already", func() *conn { return same }},
		"ends its goroutine": {"did not return", func() *conn { runtime.Goexit(); return nil }},
	} {
		t.Run(what, func(t *testing.T) {
			tell(t, func(s *story) {
				s.Dial = func(context.Context, string) (*conn, error) { return c.dial(), nil }
			}, func(s *story) {
				_, _ = s.Acquire(s.Context(), "k")
				_, err := s.Acquire(s.Context(), "k")
				assert.ErrorContains(s, err, c.want)
				assert.Zero(s, s.Stats().Dialing)
			})
		})
	}
	for range 2 {
		assert.PanicsWithValue(t, "pool: Pool.Dial is nil", func() {
			new(pool.Pool[string, *conn]).TryAcquire("k")
		})
	}
}

// A dial that brings a connection of the pool's once more, after it was told to end, does not end that connection.
func TestAnUnwantedDialBringsAKnownConnection(t *testing.T) {
	tell(t, func(s *story) {
		s.MaxIdlePerKey = -1 // a dial that nobody waits for is cancelled
		same := new(conn)
		s.Dial = func(ctx context.Context, _ string) (*conn, error) {
			if s.dialed.Add(1) > 1 {
				<-ctx.Done()
			}
			return same, nil
		}
	}, func(s *story) {
		l := s.acquire("k")
		ctx, cancel := context.WithTimeout(s.Context(), time.Second)
		defer cancel()
		_, err := s.Acquire(ctx, "k")
		require.ErrorIs(s, err, context.DeadlineExceeded)
		synctest.Wait()
		assert.Zero(s, l.Conn().closes.Load())
		l.Discard("done")
		synctest.Wait()
		assert.EqualValues(s, 1, l.Conn().closes.Load())
	})
}

// A slice of connections is a connection that cannot be compared.
type several []io.Closer

func (c several) Close() error { return c[0].Close() }

// Where connections are of an interface type, one that cannot be compared is an error, and closed.
func TestAConnectionThatCannotBeCompared(t *testing.T) {
	var beneath conn
	p := &pool.Pool[string, io.Closer]{Dial: func(context.Context, string) (io.Closer, error) { return several{&beneath}, nil }}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, err := p.Acquire(ctx, "k")
	require.ErrorContains(t, err, "cannot be compared")
	require.NoError(t, p.Close()) // which waits for what the dial has yet to close
	assert.EqualValues(t, 1, beneath.closes.Load())
	assert.Equal(t, pool.Gauges{}, p.Total())
}

// An OnOpen that exits its goroutine has seen the connection, which goes to who waits for it.
func TestOnOpenExits(t *testing.T) {
	tell(t, func(s *story) { s.OnOpen = func(*conn) { runtime.Goexit() } }, func(s *story) {
		s.acquire("k").Release()
		require.NoError(s, s.Close())
		assert.Equal(s, pool.Gauges{}, s.Total())
	})
}

// Close waits for a dial that does not listen, and closes what it yields.
func TestCloseWaitsForADial(t *testing.T) {
	tell(t, func(s *story) {
		s.Dial = func(context.Context, string) (*conn, error) {
			time.Sleep(time.Minute)
			return &conn{}, nil
		}
	}, func(s *story) {
		w := s.queue(s.Context(), "k")
		began := time.Now()
		require.NoError(s, s.Close())
		assert.Equal(s, time.Minute, time.Since(began))
		require.True(s, w.isDone())
		assert.ErrorIs(s, w.err, pool.ErrClosed)
		s.wantClosed(pool.Closed, 1)
	})
}

// A connection whose OnOpen runs while the pool is closed is closed after it.
func TestCloseDuringOnOpen(t *testing.T) {
	tell(t, nil, func(s *story) {
		s.OnOpen = func(*conn) { time.Sleep(time.Minute) }
		w := s.queue(s.Context(), "k")
		assert.Equal(s, pool.Gauges{Dialing: 1, Waiting: 1}, s.Stats().Gauges)
		assert.Empty(s, s.Conns("k"))
		require.NoError(s, s.Close())
		require.True(s, w.isDone())
		assert.True(s, errors.Is(w.err, pool.ErrClosed))
		s.wantClosed(pool.Closed, 1)
	})
}
