package pool

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

type nothing struct{ _ int }

func (*nothing) Close() error { return nil }

// The first to end is on top, whatever joins and leaves.
func TestLifetimesAreInOrder(t *testing.T) {
	var h lifetimes[int, *nothing]
	in := map[*entry[int, *nothing]]bool{}
	for range 1000 {
		if rand.IntN(5) < 3 {
			e := &entry[int, *nothing]{rank: -1}
			h.push(e, time.Duration(rand.IntN(1000)))
			in[e] = true
		} else {
			for e := range in { // any
				h.remove(e)
				h.remove(e) // it is not in any more
				delete(in, e)
				break
			}
		}
		require.Len(t, h, len(in))
		for i, l := range h {
			if int(l.entry.rank) != i || h[(i-1)/2].ends > l.ends {
				t.Fatalf("%d of %d is out of place", i, len(h))
			}
		}
	}
}
