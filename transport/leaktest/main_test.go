package leaktest_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/watertight-go/watertight/transport/leaktest"
)

// Both look at what the tests leave behind, goleak outside. That a test failed is not left to the code under test to say.
func TestMain(m *testing.M) {
	var failed int
	tests := run(func() int {
		failed = m.Run()
		return failed
	})
	goleak.VerifyTestMain(run(func() int { return max(leaktest.Wrap(tests).Run(), failed) }))
}
