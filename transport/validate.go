package transport

import (
	"errors"
	"fmt"
	"net/http"
	"time"
)

// shortest is the smallest duration that can be meant: a bare 30 is thirty nanoseconds.
const shortest = time.Microsecond

// Validate reports settings that can only be slips, all of them, each with its field, its value and what was likely
// meant; nil if there are none. The first request does the same and fails with the error.
func (t *Transport) Validate() error {
	var config http.HTTP2Config
	if t.HTTP2 != nil {
		config = *t.HTTP2
	}
	var errs []error
	for _, d := range []struct {
		field string
		value time.Duration
	}{
		{"TLSHandshakeTimeout", t.TLSHandshakeTimeout},
		{"IdleConnTimeout", t.IdleConnTimeout},
		{"ResponseHeaderTimeout", t.ResponseHeaderTimeout},
		{"ExpectContinueTimeout", t.ExpectContinueTimeout},
		{"HTTP2.SendPingTimeout", config.SendPingTimeout},
		{"HTTP2.PingTimeout", config.PingTimeout},
		{"HTTP2.WriteByteTimeout", config.WriteByteTimeout},
		{"AcquireTimeout", t.AcquireTimeout},
		{"MaxConnLifetime", t.MaxConnLifetime},
		{"DrainTimeout", t.DrainTimeout},
		{"LeakTimeout", t.LeakTimeout},
		{"SalvageTimeout", t.SalvageTimeout},
		{"UnackedTimeout", t.UnackedTimeout},
	} {
		errs = append(errs, slip(d.field, d.value))
	}
	return errors.Join(errs...)
}

// slip returns the error of a duration that can only be a slip, nil of any other.
func slip(field string, d time.Duration) error {
	if d <= 0 || d >= shortest {
		return nil
	}
	return fmt.Errorf("transport: %s is %v: did you mean %d*time.Second?", field, d, int64(d))
}
