//go:build linux

package soak_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"
)

// A fault is what goes wrong with a response, or right after it.
type fault int

const (
	healthy fault = iota
	hangUp        // no byte of a response
	resetUp
	cutHead
	resetHead
	garbageHead
	hugeHead
	stall // no byte, for ever
	cutBody
	resetBody
	stallBody
	garbageBody // a chunk size that is none
	tooLong     // more than Content-Length says
	second      // a response that nobody asked for, right behind
	late        // the same, a moment later
	timedOut    // a 408 a moment later, and the end
	finAfter
	resetAfter
	sayClose
	early      // an answer before the upload was read
	earlyClose // and an end
	faults
)

// evil are the faults that bring bytes behind the response.
var evil = map[fault]bool{second: true, late: true, timedOut: true}

// A shape is how a response is framed.
type shape int

const (
	sized shape = iota
	chunked
	untilClose
	zipped
	trailed
	shapes
)

// A plan is one exchange: what the caller asks the server for. It travels in the request.
type plan struct {
	id     uint64
	fault  fault
	shape  shape
	size   int // of the response's content
	at     int // where in it the fault is
	pieces int // the writes that the body comes in
	gap    time.Duration
	infos  int // informational responses before
	upload int // bytes of the request's body; -1: none
	once   bool
}

func randomPlan(r *rand.Rand, id uint64) plan {
	p := plan{
		id:     id,
		shape:  shape(r.IntN(int(shapes))),
		size:   r.IntN([]int{1, 100, 9000, 70000, 1 << 20}[weighted(r, 10, 40, 30, 15, 2)]),
		pieces: 1 + weighted(r, 60, 20, 10, 10)*r.IntN(4),
		gap:    time.Duration(r.IntN(300)) * time.Microsecond,
		upload: -1,
	}
	if r.IntN(3) == 0 {
		p.fault = fault(r.IntN(int(faults)))
	}
	if r.IntN(10) == 0 {
		p.infos = 1 + r.IntN(3)
	}
	if r.IntN(4) == 0 {
		p.upload = r.IntN([]int{10, 3000, 300000}[weighted(r, 30, 50, 20)])
		p.once = r.IntN(2) == 0
	}
	if p.size > 0 {
		p.at = r.IntN(p.size)
	}
	return p
}

// weighted returns an index, each as often as its weight says.
func weighted(r *rand.Rand, weights ...int) int {
	sum := 0
	for _, w := range weights {
		sum += w
	}
	n := r.IntN(sum)
	for i, w := range weights {
		if n < w {
			return i
		}
		n -= w
	}
	return 0
}

const planField = "Plan"

func (p plan) String() string {
	return fmt.Sprintf("%d %d %d %d %d %d %d %d %d", p.id, p.fault, p.shape, p.size, p.at, p.pieces, p.gap, p.infos, p.upload)
}

// planOf reads the plan that came with a request.
func planOf(h http.Header) (p plan, err error) {
	_, err = fmt.Sscan(h.Get(planField), &p.id, &p.fault, &p.shape, &p.size, &p.at, &p.pieces, &p.gap, &p.infos, &p.upload)
	return p, err
}

// uploadID is the id of the request's content.
func (p plan) uploadID() uint64 { return ^p.id }
