package transport

import (
	"slices"
	"time"
)

// Ages are how old connections became: a histogram. Old ones mean that they are reused, young ones that somebody closes them soon:
// see Closes for why.
type Ages struct {
	Count int64         `json:"count"`  // connections closed
	Sum   time.Duration `json:"sum_ns"` // of their ages, each the time since its dial was done, handshake included

	// UpTo is 10 ms, 30 ms, 100 ms and so on to 10,000 s. It is the same in each snapshot.
	UpTo []AgeCount `json:"up_to"`
}

// An AgeCount is how many connections were closed when they were no older than Age.
type AgeCount struct {
	Age   time.Duration `json:"age_ns"`
	Count int64         `json:"count"` // those of the bounds below included
}

// ageBounds are the upper bounds of ages, but for the last, which has none. Each is about 3.2 times the one before: from a connection
// per request to one that lives for hours.
func ageBounds() [13]time.Duration {
	const s = time.Second
	return [...]time.Duration{s / 100, 3 * s / 100, s / 10, 3 * s / 10, s, 3 * s, 10 * s, 30 * s, 100 * s, 300 * s, 1000 * s, 3000 * s, 10000 * s}
}

// ages count connections by age: by the bound that they did not exceed, the last those that exceeded all.
type ages struct {
	n   [14]int64
	sum time.Duration
}

func (a *ages) add(age time.Duration) {
	bounds := ageBounds()
	i, _ := slices.BinarySearch(bounds[:], age)
	a.n[i]++
	a.sum += age
}

// told returns what is counted, for a snapshot.
func (a *ages) told() Ages {
	bounds := ageBounds()
	t := Ages{Sum: a.sum, UpTo: make([]AgeCount, len(bounds))}
	for i, bound := range bounds {
		t.Count += a.n[i]
		t.UpTo[i] = AgeCount{Age: bound, Count: t.Count}
	}
	t.Count += a.n[len(bounds)]
	return t
}
