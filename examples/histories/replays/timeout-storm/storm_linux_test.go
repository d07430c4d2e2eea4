package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/watertight-go/watertight/examples/histories/replays/internal/history"
)

func TestMain(m *testing.M) { history.TestMain(storm, func() { goleak.VerifyTestMain(m) }) }

// Ordinary clients open a connection for every request that times out; ours keeps those that it has, within bounds, and refuses an
// idle timeout of 30 nanoseconds.
func TestTimeoutStorm(t *testing.T) {
	s := history.NewStage(true, t.Output())
	defer s.End()
	runs, err := replay(s)
	require.NoError(t, err)
	report, err := newReport(runs, nil)
	require.NoError(t, err)
	assert.Empty(t, report.Faults)

	require.Len(t, runs, 3)
	for _, ordinary := range runs[:2] {
		assert.Greater(t, ordinary.Slip.Dials, int64(quick/2), ordinary.Client)
		assert.Greater(t, ordinary.Storm.Dials, ordinary.Storm.TimedOut*9/10, ordinary.Client)
		assert.Greater(t, int64(ordinary.TimeWait), ordinary.Storm.TimedOut/2, ordinary.Client)
	}
	ours := runs[2]
	assert.Equal(t, "transport: IdleConnTimeout is 30ns: did you mean 30*time.Second?", ours.Slip.Error)
	assert.Zero(t, ours.Slip.Dials)
	assert.Less(t, ours.Storm.Dials*5, ours.Storm.TimedOut)
	assert.LessOrEqual(t, ours.Waiting, maxSalvaged)
	assert.Zero(t, ours.Remaining)
}
