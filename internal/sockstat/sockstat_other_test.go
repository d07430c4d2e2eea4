//go:build !linux

package sockstat_test

import (
	"errors"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/watertight-go/watertight/internal/sockstat"
)

// Where a system does not tell, we say so.
func TestUnsupported(t *testing.T) {
	_, err := sockstat.List(sockstat.Filter{})
	assert.ErrorIs(t, err, errors.ErrUnsupported)
	_, err = sockstat.Descriptors(os.Getpid() + 1)
	assert.ErrorIs(t, err, errors.ErrUnsupported)
}
