package transport

import (
	"reflect"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
)

// A connection without TLS keeps to the size that its comment gives.
func TestPlainConnSize(t *testing.T) {
	if strconv.IntSize != 64 {
		t.Skip("the sizes are those of machines with 64 bits")
	}
	assert.LessOrEqual(t, reflect.TypeFor[plainConn]().Size(), uintptr(224))
}
