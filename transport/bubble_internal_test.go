package transport

import (
	"context"
	"runtime/pprof"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
)

// What a program labels its goroutines with makes no bubble, also where the runtime shows labels in stacks, as it does from Go 1.27 on.
func TestLabelsAreNoBubble(t *testing.T) {
	t.Setenv("GODEBUG", "tracebacklabels=1")
	pprof.Do(t.Context(), pprof.Labels("job", ", synctest bubble 1"), func(context.Context) {
		assert.False(t, inBubble())
		synctest.Test(t, func(t *testing.T) { assert.True(t, inBubble()) })
	})
}
