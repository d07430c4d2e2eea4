package pool_test

import (
	"maps"

	"github.com/stretchr/testify/assert"

	"github.com/watertight-go/watertight/pool"
)

// agree compares the two.
func (d *duel) agree() bool {
	ok := d.statsAgree()
	ok = d.leasesAgree() && ok
	for n, got := range d.got {
		want, ended := d.model.served[n]
		select {
		case l := <-got:
			delete(d.got, n)
			if !assert.True(d, ended, "%d got something", n) {
				return false
			}
			name := 0
			if l.Conn() != nil {
				name = int(l.Conn().number)
				d.held[name] = append(d.held[name], l)
				ok = assert.Zero(d, l.Conn().closes.Load(), "%d was lent after its close", name) && ok
			}
			ok = assert.Equal(d, want, name, "what %d got", n) && ok
		default:
			ok = assert.False(d, ended, "%d got nothing, want %d", n, want) && ok
		}
	}
	return ok
}

// statsAgree compares what the pool counts.
func (d *duel) statsAgree() bool {
	m, s := d.model, d.pool.Stats()
	ok := assert.Equal(d, m.gauges(""), s.Gauges)
	closes := maps.Clone(m.closes)
	if n := s.Closes[pool.Unwanted]; n > 0 { // in the model these are evicted
		closes[pool.Unwanted] = n
		if closes[pool.Evicted] -= n; closes[pool.Evicted] == 0 {
			delete(closes, pool.Evicted)
		}
	}
	ok = assert.Equal(d, pool.Counters{
		Dials: m.begun, DialErrors: m.failed, Reuses: m.reuses, Hijacks: m.hijacks, Closes: closes,
	}, s.Counters, "failed dials are also the cancelled ones") && ok
	for key, told := range d.told {
		ok = assert.EqualValues(d, m.told[key], told.Load(), "who waits under a limit, of %s", key) && ok
	}
	known := 0
	for _, key := range s.Keys {
		known++
		ok = assert.Equal(d, m.gauges(key.Key), key.Gauges, "%s", key.Key) && ok
		ok = assert.LessOrEqual(d, key.Open-m.leaving(key.Key)+key.Dialing, m.limit) && ok
	}
	for _, key := range []string{"a", "b"} {
		if m.gauges(key) != (pool.Gauges{}) {
			known--
		}
	}
	return assert.Zero(d, known, "keys of which there is nothing") && ok
}

// leasesAgree compares how many lease each connection, which is open as long as anybody does.
func (d *duel) leasesAgree() bool {
	leases := map[int]int{}
	retired := map[int]pool.Reason{}
	for _, info := range d.pool.All() {
		if info.Leased {
			leases[int(info.Conn.number)] = info.Leases
			retired[int(info.Conn.number)] = info.Retired
		}
	}
	ok := true
	for _, c := range d.model.leased {
		if leases[c.name] != c.leases {
			ok = assert.Equal(d, c.leases, leases[c.name], "leases of %d", c.name)
		}
		if retired[c.name] != c.retired && !d.model.mayBeRetired(c) {
			ok = assert.Equal(d, c.retired, retired[c.name], "why %d is retired", c.name)
		}
		if d.conns[c.name].closes.Load() > 0 {
			ok = assert.Fail(d, "closed under its users", "%d", c.name)
		}
	}
	return ok
}
