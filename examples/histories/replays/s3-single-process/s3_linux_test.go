package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/watertight-go/watertight/examples/histories/replays/internal/history"
	"github.com/watertight-go/watertight/internal/timeline"
)

func TestMain(m *testing.M) { history.TestMain(single, func() { goleak.VerifyTestMain(m) }) }

// A pool that is lazily cleaned keeps a socket in CLOSE_WAIT in each process, for as long as that lives; ours keeps none, and
// pools nothing where it is told not to.
func TestS3SingleProcess(t *testing.T) {
	s := history.NewStage(true, t.Output())
	defer s.End()
	runs, err := replay(s)
	require.NoError(t, err)
	report, err := newReport(runs, nil)
	require.NoError(t, err)
	assert.Empty(t, report.Faults)

	assert.Equal(t, map[string]int{"CLOSE_WAIT": runs[0].Workers}, runs[0].End)
	ours := runs[2]
	assert.Equal(t, history.Ours, ours.Strategy)
	assert.Equal(t, ours.Workers, ours.Idle, "kept for the next call")
	assert.Empty(t, ours.End)
	for _, r := range runs[3:] {
		assert.Zero(t, r.Idle, r.Strategy)
		assert.Zero(t, timeline.Open(r.After), r.Strategy)
	}
}
