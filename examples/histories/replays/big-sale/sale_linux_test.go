package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/watertight-go/watertight/examples/histories/replays/internal/history"
	"github.com/watertight-go/watertight/internal/timeline"
)

func TestMain(m *testing.M) { history.TestMain(sale, func() { goleak.VerifyTestMain(m) }) }

// With net/http the shop dies of too many open files; with ours it serves to the end, its log names the four lines that forget a
// body, and nothing is left of a backend that was replaced.
func TestBigSale(t *testing.T) {
	s := history.NewStage(true, t.Output())
	defer s.End()
	runs, err := replay(s)
	require.NoError(t, err)
	report, err := newReport(runs, nil)
	require.NoError(t, err)
	assert.Empty(t, report.Faults)

	std, ours := runs[0], runs[1]
	assert.Contains(t, std.Error, "too many open files")
	assert.Equal(t, descriptors, std.Descriptors)
	assert.Greater(t, std.Sockets["CLOSE_WAIT"], descriptors*9/10)
	assert.Empty(t, std.Lines)
	assert.Positive(t, std.Lingers)

	assert.Equal(t, ours.Orders, ours.Served, ours.Error)
	assert.Less(t, ours.Descriptors, descriptors)
	assert.Zero(t, timeline.Open(ours.Sockets))
	assert.Len(t, ours.Lines, len(guilty), "%q", ours.Lines)
	assert.Zero(t, ours.Lingers)
	assert.Zero(t, ours.Origins)
}
