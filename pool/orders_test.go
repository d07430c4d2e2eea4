package pool_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/pool"
)

// A crew is a few operations on one pool, side by side. Each runs to its next gate and waits there until it is let through, with nothing
// else going on meanwhile. There is a gate before each operation, after each Acquire, and in each callback, which is where the pool holds no
// lock: so every order of what it does under its lock is an order of gates, and there are few enough to try them all.
type crew struct {
	*testing.T
	pool pool.Pool[string, *conn]

	mu      sync.Mutex // guards the fields below
	gates   []*gate
	conns   []*conn
	reasons map[*conn][]pool.Reason // what OnClose was told
	users   map[*conn]int
	hung    map[*conn]bool // whose peers hung up
	taken   int            // by Hijack
	served  int
	refused int
	closed  bool  // by Close
	opened  int64 // whose OnOpen has just returned; 0: none
}

// A gate is where an operation waits.
type gate struct {
	name string
	open chan struct{}
}

func (c *crew) pass(format string, args ...any) {
	g := &gate{fmt.Sprintf(format, args...), make(chan struct{})}
	c.mu.Lock()
	c.gates = append(c.gates, g)
	c.mu.Unlock()
	<-g.open
}

func newCrew(t *testing.T, limit, maxIdle int) *crew {
	c := &crew{T: t, reasons: map[*conn][]pool.Reason{}, users: map[*conn]int{}, hung: map[*conn]bool{}}
	c.pool = pool.Pool[string, *conn]{
		MaxConnsPerKey: limit, MaxIdlePerKey: maxIdle, DialTimeout: -1,
		Dial: func(ctx context.Context, key string) (*conn, error) {
			c.mu.Lock()
			cn := &conn{key: key, number: int64(len(c.conns)) + 1, hang: make(chan struct{})}
			c.conns = append(c.conns, cn)
			c.mu.Unlock()
			c.pass("dialed %d", cn.number)
			return cn, nil // even if nobody wants it any more
		},
		Shared: func(string) bool {
			c.mu.Lock()
			n := c.opened
			c.opened = 0
			c.mu.Unlock()
			if n == 0 { // it is an Acquire that asks
				c.pass("between looking and queueing")
			} else {
				c.pass("opened %d, about to be lent", n)
			}
			return false
		},
		OnOpen: func(cn *conn) {
			c.pass("opened %d", cn.number)
			c.mu.Lock()
			c.opened = cn.number
			c.mu.Unlock()
		},
		OnClose: func(cn *conn, why pool.Reason, _ time.Duration) {
			c.mu.Lock()
			c.reasons[cn] = append(c.reasons[cn], why)
			c.mu.Unlock()
			c.pass("closing %d", cn.number)
			close(cn.hang) // a second OnClose panics here
		},
	}
	return c
}

// An operation is one of those that run side by side. It may not end before another does.
type operation struct {
	name string
	do   func(c *crew)
}

func (c *crew) conn(n int) *conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.conns[n-1]
}

// use notes that a lease began, on a connection that nobody else has and that is not closed.
func (c *crew) use(l lease) {
	c.mu.Lock()
	defer c.mu.Unlock()
	cn := l.Conn()
	c.served++
	c.users[cn]++
	assert.Equal(c, 1, c.users[cn], "%d has two users", cn.number)
	assert.False(c, c.hung[cn], "%d was lent after its hang-up", cn.number)
	assert.Empty(c, c.reasons[cn], "%d was lent after its close", cn.number)
}

// done notes that a lease is about to end: until now its connection was not closed.
func (c *crew) done(l lease) {
	c.mu.Lock()
	defer c.mu.Unlock()
	cn := l.Conn()
	c.users[cn]--
	assert.Empty(c, c.reasons[cn], "%d was closed under its user", cn.number)
}

// acquire is an Acquire and the end of what it got.
func (c *crew) acquire(ctx context.Context, name string, end func(*crew, lease)) {
	l, err := c.pool.Acquire(ctx, "k")
	if err != nil {
		assert.True(c, errors.Is(err, pool.ErrClosed) || errors.Is(err, context.Canceled) || errors.As(err, new(*pool.RetiredError)), "%v", err)
		c.mu.Lock()
		c.refused++
		c.mu.Unlock()
		return
	}
	c.use(l)
	c.pass("%s has a connection", name)
	end(c, l)
}

func release(c *crew, l lease) {
	c.done(l)
	l.Release()
}

func acquires(name string) operation {
	return operation{name, func(c *crew) { c.acquire(c.Context(), name, release) }}
}

func retires(n int) operation {
	return operation{fmt.Sprintf("hang-up of %d", n), func(c *crew) {
		c.mu.Lock()
		c.hung[c.conns[n-1]] = true
		c.mu.Unlock()
		c.pool.Retire(c.conn(n), "hung up")
	}}
}

// inOrder runs the operations beside each other in the order that choose tells, and judges what came of it. held are connections
// that are leased at the beginning, the others of ready are idle.
func inOrder(t *testing.T, s orders, choose func(options int) int) {
	c := newCrew(t, s.limit, s.maxIdle)
	var leases []lease
	var names []string
	defer func() {
		if t.Failed() {
			t.Logf("in this order: %s", strings.Join(names, ", "))
		}
	}()
	for range s.ready { // the same for all orders
		go func() {
			l, err := c.pool.Acquire(c.Context(), "k")
			assert.NoError(c, err)
			c.mu.Lock()
			defer c.mu.Unlock()
			leases = append(leases, l)
		}()
		for c.advance(func(int) int { return 0 }) != "" {
		}
	}
	require.Len(c, leases, s.ready)
	for _, l := range leases[s.held:] {
		require.True(c, l.Release())
	}
	for _, l := range leases[:s.held] {
		c.use(l)
	}
	for _, op := range s.ops(leases[:s.held]) {
		go func() {
			c.pass("%s", op.name)
			op.do(c)
		}()
	}
	for {
		name := c.advance(choose)
		if name == "" {
			break
		}
		names = append(names, name)
		c.countsAgree()
	}
	c.judge(s)
}

// advance lets one operation through its gate, once all wait, and returns the gate's name; "" if there is none.
func (c *crew) advance(choose func(int) int) string {
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.gates) == 0 {
		return ""
	}
	slices.SortFunc(c.gates, func(a, b *gate) int { return cmp.Compare(a.name, b.name) })
	i := choose(len(c.gates))
	g := c.gates[i]
	c.gates = slices.Delete(c.gates, i, i+1)
	close(g.open)
	return g.name
}

// countsAgree compares the pool's counts with what everybody has, while all wait.
func (c *crew) countsAgree() {
	synctest.Wait()
	st := c.pool.Stats().Gauges
	c.mu.Lock()
	defer c.mu.Unlock()
	used, open, dialing := 0, 0, 0
	for _, g := range c.gates {
		if strings.HasPrefix(g.name, "dialed") || strings.HasPrefix(g.name, "opened") {
			dialing++
		}
	}
	for _, cn := range c.conns {
		used += c.users[cn]
		if len(c.reasons[cn]) == 0 {
			open++
		}
	}
	assert.Equal(c, used, st.Leases, "leases")
	assert.Equal(c, used, st.Leased, "leased")
	assert.Equal(c, dialing, st.Dialing, "dialing")
	assert.Equal(c, open-dialing-c.taken, st.Open, "open")
	assert.Equal(c, st.Open, st.Idle+st.Leased, "open is idle or leased")
	if c.closed {
		assert.Zero(c, st.Idle, "idle after Close")
	}
	if limit := c.pool.MaxConnsPerKey; limit > 0 {
		assert.LessOrEqual(c, st.Open+st.Dialing, limit, "the limit")
	}
}

// judge wants that everybody was served or refused, that nothing is left, and that each connection was closed exactly once.
func (c *crew) judge(s orders) {
	st := c.pool.Stats().Gauges
	assert.Zero(c, st.Waiting, "somebody waits for ever")
	assert.Zero(c, st.Leases)
	c.mu.Lock()
	assert.Equal(c, s.askers+s.held, c.served+c.refused, "who asked was served or refused")
	c.mu.Unlock()
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		assert.NoError(c, c.pool.Close())
	}()
	for c.advance(func(int) int { return 0 }) != "" {
	}
	<-closed
	assert.Equal(c, pool.Gauges{}, c.pool.Stats().Gauges)
	kept := 0
	for _, cn := range c.conns {
		if cn.closes.Load() == 0 && len(c.reasons[cn]) == 0 {
			kept++
			continue
		}
		assert.EqualValues(c, 1, cn.closes.Load(), "closes of %d", cn.number)
		assert.Len(c, c.reasons[cn], 1, "%d", cn.number)
	}
	assert.Equal(c, c.taken, kept, "connections that are the caller's own")
}
