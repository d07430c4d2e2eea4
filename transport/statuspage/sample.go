package statuspage

import (
	"slices"
	"time"

	"github.com/watertight-go/watertight/transport"
)

// A sample is what the course shows of one moment.
type sample struct {
	Time     time.Time `json:"time"`
	Open     int       `json:"open"`
	Leased   int       `json:"leased"`
	Waiting  int       `json:"waiting"`
	Bodies   int       `json:"bodies"`
	Requests int64     `json:"requests"` // since the beginning, as the rest
	Dials    int64     `json:"dials"`
	Closed   int64     `json:"closed"`
	Leaks    int64     `json:"leaks"`
}

const (
	shown      = 10 * time.Minute // how far the course goes back
	sampleStep = time.Second      // at least between two samples
)

func sampleOf(now time.Time, c transport.Counts) sample {
	return sample{
		Time: now.UTC(), Open: c.Open, Leased: c.Leased, Waiting: c.Waiting, Bodies: c.Bodies,
		Requests: c.Requests, Dials: c.Dials, Closed: c.PeerFirst + c.WeFirst,
		Leaks: leaksIn(c),
	}
}

// leaksIn returns how many bodies leaked, whatever the cause.
func leaksIn(c transport.Counts) (sum int64) {
	for _, n := range c.Leaks {
		sum += n
	}
	return sum
}

// record keeps a sample, unless the last is younger than sampleStep, and returns those to show.
func (h *Handler) record(s sample) []sample {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.samples = slices.DeleteFunc(h.samples, func(old sample) bool {
		return s.Time.Sub(old.Time) > shown || old.Time.Sub(s.Time) > sampleStep // the clock was set back
	})
	if n := len(h.samples); n == 0 || s.Time.Sub(h.samples[n-1].Time) >= sampleStep {
		h.samples = append(h.samples, s)
	}
	return slices.Clone(h.samples)
}
