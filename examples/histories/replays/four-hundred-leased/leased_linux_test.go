package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/watertight-go/watertight/examples/histories/replays/internal/history"
	"github.com/watertight-go/watertight/internal/timeline"
)

func TestMain(m *testing.M) { history.TestMain(leased, func() { goleak.VerifyTestMain(m) }) }

// With net/http all connections are in CLOSE_WAIT and nobody is served any more; with ours nobody notices. Where bodies are truly held, the
// error says who has them. To free the pool, ours needs no connection that is in use.
func TestFourHundredLeased(t *testing.T) {
	s := history.NewStage(true, t.Output())
	defer s.End()
	runs, err := replay(s)
	require.NoError(t, err)
	report, err := newReport(runs, nil)
	require.NoError(t, err)
	assert.Empty(t, report.Faults)

	std, ours := runs[0], runs[1]
	assert.Equal(t, map[string]int{"CLOSE_WAIT": limit}, std.Before)
	assert.Zero(t, std.Forgotten.Served)
	assert.Equal(t, limit, std.Timeline.Last("CLOSE_WAIT"), "for ever")
	assert.Zero(t, std.Held.Holders)

	assert.Zero(t, timeline.Open(ours.Before))
	assert.Equal(t, callers, ours.Forgotten.Served)
	assert.Less(t, ours.Forgotten.Slowest, time.Second)
	assert.Equal(t, limit, ours.Held.Holders)
	assert.GreaterOrEqual(t, ours.Held.Youngest, acquireTimeout)
	require.Len(t, ours.Held.Lines, 1)
	for line := range ours.Held.Lines {
		assert.Contains(t, line, "(*service).lease ")
		assert.Contains(t, line, "/four-hundred-leased/client.go:")
	}
	assert.Equal(t, callers, ours.Remedy.Served)
	assert.Equal(t, downloads, ours.Remedy.Survived, ours.Remedy.DownloadError)
	assert.EqualValues(t, limit-downloads, ours.Remedy.Leaks)
}
