package opentelemetry_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/watertight-go/watertight/transport/leaktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(leaktest.Wrap(m)) }
