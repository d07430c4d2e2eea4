package pool_test

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/pool"
)

// A duel is a pool and its model, to which the same happens step by step.
type duel struct {
	*testing.T
	*rand.Rand
	model  *model
	pool   *pool.Pool[string, *conn]
	gates  map[int]chan error // by dial
	cancel map[int]context.CancelFunc
	got    map[int]chan lease // by Acquire
	held   map[int][]lease    // by connection
	conns  map[int]*conn
	hijack map[int]bool             // by connection
	hung   map[int]bool             // by connection: retired before anybody could lease it
	told   map[string]*atomic.Int64 // calls of OnWait, by key
	names  int
	log    []string
}

var modelSteps = flag.Int("modelsteps", 18000, "steps of TestPoolAgreesWithItsModel")

const stepsOfAFight = 150

type asker struct{}

// An asked is an Acquire that dials are started for.
type asked struct {
	name  int
	dials atomic.Int32
}

// dial returns the name of the next dial.
func (a *asked) dial() int { return a.name + again*int(a.dials.Add(1)-1) }

// Whatever happens, the pool does what its model does: who gets which connection, who waits, which dials go on, which
// connections are closed and why.
func TestPoolAgreesWithItsModel(t *testing.T) {
	for i := range max(*modelSteps/stepsOfAFight, 1) {
		seed := rand.Uint64()
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { fight(t, rand.New(rand.NewPCG(seed, 0)), i) })
		})
	}
}

func fight(t *testing.T, r *rand.Rand, i int) {
	m := &model{
		limit: 1 + r.IntN(5), maxIdle: r.IntN(4), maxIdleKey: i%4 - 1, idleTimeout: time.Minute,
		closes: map[pool.Reason]int64{}, served: map[int]int{}, told: map[string]int{},
	}
	if r.IntN(3) == 0 {
		m.lifetime = 9 // of which nothing is left to chance, as a tenth is nothing
		m.idleTimeout = []time.Duration{0, 7, time.Minute}[r.IntN(3)]
	}
	if r.IntN(3) == 0 {
		m.waitTimeout = 3*time.Second + 37*time.Microsecond // no two waiters, and nothing else, come to that at once
	}
	m.sharing = randomSharing(r)
	d := &duel{
		T: t, Rand: r, model: m,
		gates: map[int]chan error{}, cancel: map[int]context.CancelFunc{}, got: map[int]chan lease{},
		held: map[int][]lease{}, conns: map[int]*conn{}, hijack: map[int]bool{}, hung: map[int]bool{},
		told: map[string]*atomic.Int64{"a": {}, "b": {}},
	}
	d.pool = &pool.Pool[string, *conn]{
		Dial:           d.dial,
		MaxConnsPerKey: m.limit, MaxIdle: m.maxIdle, MaxIdlePerKey: m.maxIdleKey, IdleTimeout: m.idleTimeout,
		MaxLifetime: m.lifetime, DialTimeout: -1, WaitTimeout: m.waitTimeout,
		OnWait: func(key string) { d.told[key].Add(1) },
		OnOpen: func(c *conn) {
			if d.hung[int(c.number)] {
				d.pool.Retire(c, "retired")
			}
		},
	}
	d.share()
	closing := stepsOfAFight - r.IntN(30)
	for n := range stepsOfAFight {
		if n == closing {
			d.close()
		}
		d.step()
		if !d.agree() || d.Failed() {
			break
		}
	}
	require.NoError(t, d.pool.Close())
	for _, l := range slices.Concat(slices.Collect(maps.Values(d.held))...) {
		l.Release()
	}
	synctest.Wait()
	for name, ended := range d.got {
		if l := <-ended; l.Conn() != nil {
			t.Errorf("%d was served after Close", name)
		}
	}
	assert.Equal(t, pool.Gauges{}, d.pool.Stats().Gauges)
	assert.Empty(t, d.pool.Stats().Keys)
	for n, c := range d.conns {
		if d.hijack[n] {
			assert.Zero(t, c.closes.Load(), "%d is its caller's", n)
		} else {
			assert.Equal(t, c.opened, c.closes.Load() == 1, "%d, closed %d times", n, c.closes.Load())
		}
	}
	if t.Failed() {
		t.Logf("limit %d, MaxIdle %d, MaxIdlePerKey %d, WaitTimeout %v, Admit %v, Shared %v, OneShared %v",
			m.limit, m.maxIdle, m.maxIdleKey, m.waitTimeout, m.admits, m.multiplexed, m.oneShared)
		for _, line := range d.log {
			t.Log(line)
		}
	}
}

// dial waits for its gate. The connection has the name of who asked.
func (d *duel) dial(ctx context.Context, key string) (*conn, error) {
	n := ctx.Value(asker{}).(*asked).dial()
	select {
	case err := <-d.gates[n]:
		if err != nil {
			return nil, err
		}
		return d.conns[n], nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (d *duel) note(format string, args ...any) { d.log = append(d.log, fmt.Sprintf(format, args...)) }

// step does something at random to both.
func (d *duel) step() {
	m := d.model
	key := []string{"a", "b"}[d.IntN(2)]
	switch n := d.IntN(d.kinds()); {
	case n < 5:
		d.acquire(key)
	case n < 6:
		d.try(key)
	case n < 10: // more often than Acquire, so that now and then nobody waits
		if len(m.dials) > 0 {
			d.endDial(m.dials[d.IntN(len(m.dials))], []outcome{succeeded, succeeded, succeeded, succeeded, succeeded, succeeded, failed, hungUp}[d.IntN(8)])
		}
	case n < 11:
		if len(m.waiters) > 0 {
			d.giveUp(m.waiters[d.IntN(len(m.waiters))])
		}
	case n < 17:
		if len(m.leased) > 0 {
			d.end(m.leased[d.IntN(len(m.leased))])
		}
	case n < 18:
		if all := slices.Concat(m.idle, m.leased); len(all) > 0 {
			c := all[d.IntN(len(all))]
			if m.mayBeRetired(c) {
				break
			}
			d.note("retire %d", c.name)
			m.retire(c.name)
			d.pool.Retire(d.conns[c.name], "retired")
		}
	case n < 19:
		by := time.Duration(d.IntN(40)) * []time.Duration{time.Second, 50 * time.Millisecond}[d.IntN(2)]
		if m.lifetime > 0 && d.IntN(4) > 0 {
			by = time.Duration(d.IntN(6))
		}
		d.note("pass %v", by)
		d.pass(by)
	case n < 20:
		d.closeIdle()
	case n < 22:
		if all := slices.Concat(m.idle, m.leased, m.leased); len(all) > 0 {
			d.resize(all[d.IntN(len(all))], d.IntN(4))
		}
	default:
		m.multiplexed[key] = !m.multiplexed[key]
		d.note("%s multiplexed: %v", key, m.multiplexed[key])
	}
	synctest.Wait()
}

func (d *duel) try(key string) {
	l, ok := d.pool.TryAcquire(key)
	got := 0
	if ok {
		got = int(l.Conn().number)
		d.held[got] = append(d.held[got], l)
	}
	d.model.chosen = got
	want := d.model.try(key)
	d.note("try %s: %d", key, want)
	assert.Equal(d, want, got, "what there is without waiting")
}

func (d *duel) acquire(key string) {
	d.names++
	n := d.names
	d.note("acquire %s: %d", key, n)
	for i := range 5 {
		m := n + again*i
		d.gates[m] = make(chan error, 1)
		d.conns[m] = &conn{key: key, number: int64(m)}
		if d.model.admits {
			d.model.capacity[m] = d.IntN(4)
		}
	}
	ctx, cancel := context.WithCancel(context.WithValue(d.Context(), asker{}, &asked{name: n}))
	got := make(chan lease, 1)
	d.cancel[n], d.got[n] = cancel, got
	go func() {
		defer cancel()
		l, _ := d.pool.Acquire(ctx, key)
		got <- l
	}()
	synctest.Wait()
	d.model.chosen = 0
	select {
	case l := <-got:
		if l.Conn() != nil {
			d.model.chosen = int(l.Conn().number)
		}
		got <- l
	default:
	}
	d.model.acquire(n, key)
	if d.model.waitTimeout > 0 {
		d.pass(1) // another's wait begins later
	}
}

func (d *duel) endDial(dial modelDial, how outcome) {
	d.note("dial %d: %d", dial.name, how)
	d.model.dialed(dial, how)
	d.hung[dial.name] = how == hungUp
	d.conns[dial.name].opened = how != failed
	if how != failed {
		d.gates[dial.name] <- nil
	} else {
		d.gates[dial.name] <- errDial
	}
}

func (d *duel) pass(by time.Duration) {
	d.model.pass(by)
	time.Sleep(by)
	synctest.Wait()
}

// close ends the pool's use, in the middle of everything. A leased connection whose time is over may or may not have been retired for
// that before: it ends first.
func (d *duel) close() {
	for _, c := range slices.Clone(d.model.leased) {
		for d.model.mayBeRetired(c) && c.leases > 0 {
			d.endBy(c, "release")
			c.leases--
		}
	}
	synctest.Wait()
	if !d.agree() {
		return
	}
	d.note("close")
	d.model.close()
	require.NoError(d, d.pool.Close())
	synctest.Wait()
}

func (d *duel) giveUp(w modelWaiter) {
	d.note("give up %d", w.name)
	d.model.leave(w.name, 0)
	d.model.settle(w.key)
	d.cancel[w.name]()
}

func (d *duel) end(c modelConn) {
	how := []string{"release", "release", "release", "discard", "hijack"}[d.IntN(5)]
	if how == "discard" && d.model.mayBeRetired(c) {
		how = "release" // or the reason would be either
	}
	d.endBy(c, how)
}

func (d *duel) endBy(c modelConn, how string) {
	i := d.IntN(c.leases)
	d.note("%s %d, lease %d of %d", how, c.name, i, c.leases)
	d.model.end(c, how)
	l := d.held[c.name][i]
	if how == "hijack" && c.leases > 1 {
		assert.False(d, l.Hijack(), "others lease it")
		return
	}
	if d.held[c.name] = slices.Delete(d.held[c.name], i, i+1); c.leases == 1 {
		delete(d.held, c.name)
	}
	switch how {
	case "discard":
		assert.True(d, l.Discard("discarded"))
	case "hijack":
		d.hijack[c.name] = true
		assert.True(d, l.Hijack())
	default:
		l.Release()
	}
	assert.False(d, l.Release() || l.Discard("again") || l.Hijack(), "it has ended")
}

func (d *duel) closeIdle() {
	m := d.model
	if d.IntN(2) == 0 {
		n := d.IntN(3)
		d.note("close oldest %d", n)
		m.closeOldest(n)
		d.pool.CloseOldestIdle(n)
		return
	}
	d.note("close idle")
	m.closeOldest(len(m.idle))
	m.closeIdle = true
	for _, key := range []string{"a", "b"} {
		m.trim(key, 0)
		m.settle(key)
	}
	d.pool.CloseIdle()
}
