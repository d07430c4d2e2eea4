package pool

import (
	"io"
	"reflect"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
)

// An entry keeps to the size that its comment gives.
func TestEntrySize(t *testing.T) {
	if strconv.IntSize != 64 {
		t.Skip("the sizes are those of machines with 64 bits")
	}
	assert.LessOrEqual(t, reflect.TypeFor[entry[string, io.Closer]]().Size(), uintptr(96))
}
