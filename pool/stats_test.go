package pool_test

import (
	"context"
	"encoding/json"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/pool"
)

// Stats tells of all keys and of each, and can be written as JSON whatever the keys are.
func TestStats(t *testing.T) {
	type route struct{ Host string }
	p := &pool.Pool[route, *conn]{
		Dial: func(context.Context, route) (*conn, error) { return &conn{}, nil },
	}
	a, err := p.Acquire(t.Context(), route{"a"})
	require.NoError(t, err)
	b, err := p.Acquire(t.Context(), route{"b"})
	require.NoError(t, err)
	c, err := p.Acquire(t.Context(), route{"b"})
	require.NoError(t, err)
	b.Release()
	text, err := json.Marshal(p.Stats().Gauges)
	require.NoError(t, err)
	assert.JSONEq(t, `{"open": 3, "idle": 1, "leased": 2, "leases": 2, "dialing": 0, "waiting": 0}`, string(text))
	assert.ElementsMatch(t, []pool.KeyGauges[route]{
		{Key: route{"a"}, Gauges: pool.Gauges{Open: 1, Leased: 1, Leases: 1}},
		{Key: route{"b"}, Gauges: pool.Gauges{Open: 2, Idle: 1, Leased: 1, Leases: 1}},
	}, p.Stats().Keys)
	assert.Equal(t, p.Stats().Gauges, p.Total())
	assert.Equal(t, pool.Gauges{Open: 2, Idle: 1, Leased: 1, Leases: 1}, p.Gauges(route{"b"}))
	assert.Zero(t, p.Gauges(route{"c"}))

	a.Discard("broken")
	c.Hijack()
	l, ok := p.TryAcquire(route{"b"})
	require.True(t, ok)
	l.Release()
	text, err = json.Marshal(p.Stats())
	require.NoError(t, err)
	assert.JSONEq(t, `{
		"open": 1, "idle": 1, "leased": 0, "leases": 0, "dialing": 0, "waiting": 0,
		"dials": 3, "dial_errors": 0, "reuses": 1, "hijacks": 1, "closes": {"broken": 1},
		"keys": [{"key": {"Host": "b"}, "open": 1, "idle": 1, "leased": 0, "leases": 0, "dialing": 0, "waiting": 0}]
	}`, string(text))
	require.NoError(t, p.Close())
}

// A snapshot is a copy: what happens later does not change it.
func TestStatsIsACopy(t *testing.T) {
	tell(t, nil, func(s *story) {
		before := s.Stats()
		s.acquire("k").Discard("x")
		assert.Empty(s, before.Closes)
	})
}

// All tells each connection once, in however many batches, while others come and go and the map that holds them shrinks; it can be left early, and the body of its loop may call the pool.
func TestAll(t *testing.T) {
	tell(t, nil, func(s *story) {
		var leases []lease
		for i := range 2000 {
			leases = append(leases, s.acquire(strconv.Itoa(i%500)))
		}
		for _, l := range leases[1000:] {
			l.Release()
		}
		stay := map[*conn]string{}
		for _, l := range leases[:100] {
			stay[l.Conn()] = l.Key()
		}
		n, seen := 0, map[*conn]string{}
		for key, info := range s.All() {
			if n++; n == 150 {
				s.CloseIdle()
				for _, l := range leases[100:1000] {
					l.Discard("gone")
				}
				assert.True(s, s.acquire("new").Release())
			}
			assert.NotContains(s, seen, info.Conn)
			seen[info.Conn] = key
		}
		for c, key := range stay {
			assert.Equal(s, key, seen[c])
		}
		assert.LessOrEqual(s, n, 302, "those that were gone were told")
		for range s.All() {
			break
		}
		for _, l := range leases[:100] {
			l.Release()
		}
	})
}

// Conns tells who holds what, and for how long.
func TestConns(t *testing.T) {
	tell(t, nil, func(s *story) {
		a, b := s.acquire("k"), s.acquire("k")
		s.acquire("other").Release()
		time.Sleep(time.Minute)
		a.Release()
		time.Sleep(time.Second)
		s.Retire(b.Conn(), "gone")
		assert.Equal(s, []pool.Info[*conn]{
			{Conn: b.Conn(), Leased: true, Leases: 1, Retired: "gone", Since: 61 * time.Second, Age: 61 * time.Second},
			{Conn: a.Conn(), Since: time.Second, Age: 61 * time.Second},
		}, s.Conns("k"))
		assert.Empty(s, s.Conns("unknown"))
		b.Release()
	})
}
