package pool

import (
	"io"
	"reflect"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
)

// An entry has a size class that is not that of a dial's garbage.
func TestEntrySize(t *testing.T) {
	if strconv.IntSize != 64 {
		t.Skip("the sizes are those of machines with 64 bits")
	}
	for name, size := range map[string]uintptr{
		"an interface": reflect.TypeFor[entry[string, io.Closer]]().Size(),
		"a pointer":    reflect.TypeFor[entry[string, *nothing]]().Size(),
	} {
		assert.Greater(t, size, uintptr(112), name)
		assert.LessOrEqual(t, size, uintptr(128), name)
	}
}
