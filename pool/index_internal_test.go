package pool

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// An index finds what is in it and nothing else, whatever came and went before, and has no more than eight slots for each, or a few.
func TestIndex(t *testing.T) {
	var x index[int, *nothing]
	in := map[*nothing]*entry[int, *nothing]{}
	var out []*nothing
	for i := range 60_000 {
		grows := i/10_000%2 == 0
		if len(in) == 0 || rand.N(10) < 6 == grows {
			e := &entry[int, *nothing]{conn: &nothing{}, state: idle}
			require.Nil(t, x.find(e.conn))
			x.add(e)
			in[e.conn] = e
		} else {
			for c, e := range in {
				x.remove(e)
				delete(in, c)
				out = append(out[:min(len(out), 100)], c)
				break
			}
		}
		require.Equal(t, len(in), x.n)
		require.LessOrEqual(t, len(x.slots), max(8*len(in), shrinkFrom))
		require.Less(t, x.used, max(len(x.slots), 1))
	}
	for c, e := range in {
		require.Same(t, e, x.find(c))
	}
	for _, c := range out {
		assert.Nil(t, x.find(c))
	}
	for _, e := range in {
		x.remove(e)
	}
	assert.Empty(t, x.slots, "an empty index holds nothing")
}

// Connections that come and go while their number stays the same do not have the slots made anew all the time, which takes long where they
// are many: somebody holds the lock.
func TestIndexAtTheSameSize(t *testing.T) {
	var x index[int, *nothing]
	add := func() *entry[int, *nothing] {
		e := &entry[int, *nothing]{conn: &nothing{}}
		x.add(e)
		return e
	}
	var in []*entry[int, *nothing]
	for range 1200 {
		in = append(in, add())
	}
	made, times := &x.slots[0], 0
	for range 40_000 {
		i := rand.N(len(in))
		x.remove(in[i])
		in[i] = add()
		if &x.slots[0] != made {
			made, times = &x.slots[0], times+1
		}
	}
	assert.Less(t, times, 15)
	for _, e := range in {
		require.Same(t, e, x.find(e.conn))
	}
}

// Who goes through the slots while others come and go meets each that stays once.
func TestIndexWalk(t *testing.T) {
	var x index[int, *nothing]
	stay := map[*nothing]int{}
	var others []*entry[int, *nothing]
	add := func() *entry[int, *nothing] {
		e := &entry[int, *nothing]{conn: &nothing{}, state: idle}
		x.add(e)
		return e
	}
	for range 500 {
		stay[add().conn] = 0
		others = append(others, add(), add())
	}
	before := len(x.slots)
	for i, e := range x.slots {
		if e != nil && e.state == idle {
			if n, ok := stay[e.conn]; ok {
				stay[e.conn] = n + 1
			}
		}
		switch {
		case i < 700:
			last := len(others) - 1
			x.remove(others[last])
			others[last].state = gone
			others = others[:last]
		case i < 1700:
			add()
		}
	}
	require.NotEqual(t, before, len(x.slots), "the slots were made anew")
	for _, n := range stay {
		require.Equal(t, 1, n)
	}
}
