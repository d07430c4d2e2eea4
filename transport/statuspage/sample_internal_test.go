package statuspage

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// Where the clock is set back the course begins anew, and does not wait until it is as late as it was. Requests that are shown at the same
// time may come in any order.
func TestTheCourseAfterTheClockIsSetBack(t *testing.T) {
	h, now := new(Handler), time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	times := func(after time.Duration) (at []time.Duration) {
		for _, s := range h.record(sample{Time: now.Add(after)}) {
			at = append(at, s.Time.Sub(now))
		}
		return at
	}
	times(0)
	assert.Equal(t, []time.Duration{0, 5 * time.Second}, times(5*time.Second))
	assert.Equal(t, []time.Duration{0, 5 * time.Second}, times(5*time.Second-time.Millisecond))
	assert.Equal(t, []time.Duration{-time.Hour}, times(-time.Hour))
	assert.Equal(t, []time.Duration{-time.Hour, 5*time.Second - time.Hour}, times(5*time.Second-time.Hour))
	assert.Equal(t, []time.Duration{shown}, times(shown))
}
