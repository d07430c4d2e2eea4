package leaktest_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/watertight-go/watertight/transport/leaktest"
)

// Both look at what the tests leave behind, goleak outside.
func TestMain(m *testing.M) { goleak.VerifyTestMain(leaktest.Wrap(m)) }
