package transport

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/watertight-go/watertight/pool"
)

// What IdleConnTimeout is now is told as it is: 0 is none, or the default.
func TestRetryingNamesTheTimeout(t *testing.T) {
	o := Counts{Requests: 100, Retries: 10, Reuses: 90, Closes: map[pool.Reason]int64{ReasonFailed: 10}}
	for want, tr := range map[string]*Transport{
		"(none)":  {MaxIdleConns: 1},
		"(1m30s)": {},
		"(1m0s)":  {IdleConnTimeout: time.Minute},
	} {
		assert.Contains(t, retrying(tr, o).Text, "IdleConnTimeout "+want)
	}
}
