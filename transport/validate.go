package transport

import (
	"errors"
	"fmt"
	"time"
)

// shortest is the smallest duration that can be meant: a bare 30 is thirty nanoseconds.
const shortest = time.Microsecond

// Validate reports settings that can only be slips, all of them, each with its field, its value and what was likely
// meant; nil if there are none. The first request does the same and fails with the error.
func (t *Transport) Validate() error {
	var errs []error
	for _, d := range []struct {
		field string
		value time.Duration
	}{
		{"TLSHandshakeTimeout", t.TLSHandshakeTimeout},
		{"IdleConnTimeout", t.IdleConnTimeout},
		{"ResponseHeaderTimeout", t.ResponseHeaderTimeout},
		{"ExpectContinueTimeout", t.ExpectContinueTimeout},
		{"AcquireTimeout", t.AcquireTimeout},
		{"MaxConnLifetime", t.MaxConnLifetime},
		{"DrainTimeout", t.DrainTimeout},
		{"LeakTimeout", t.LeakTimeout},
		{"SalvageTimeout", t.SalvageTimeout},
		{"UnackedTimeout", t.UnackedTimeout},
	} {
		if d.value > 0 && d.value < shortest {
			errs = append(errs, fmt.Errorf("transport: %s is %v: did you mean %d*time.Second?", d.field, d.value, int64(d.value)))
		}
	}
	return errors.Join(errs...)
}
