package history_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/examples/histories/replays/internal/history"
)

// The table is printed with what it means, and the exit status says whether all was as it should be.
func TestRun(t *testing.T) {
	var out, log bytes.Buffer
	assert.Equal(t, 0, told.Run(nil, &out, &log))
	assert.Contains(t, out.String(), "  sockets  1  two\n")
	assert.Contains(t, out.String(), "History repeated itself with the ordinary client, and not with ours.")

	failing := told
	failing.Replay = func(s *history.Stage) (*history.Report, error) {
		r, err := told.Replay(s)
		r.Expect(true, "all is well")
		r.Expect(false, "ours has %d sockets", 3)
		return r, err
	}
	out.Reset()
	assert.Equal(t, 1, failing.Run(nil, &out, &log))
	assert.Contains(t, out.String(), "NOT as it should be: ours has 3 sockets")
	assert.NotContains(t, out.String(), "all is well")

	failing.Replay = func(*history.Stage) (*history.Report, error) { return nil, errors.New("no port") }
	log.Reset()
	assert.Equal(t, 1, failing.Run(nil, io.Discard, &log))
	assert.Equal(t, "told: no port\n", log.String())
}

// The same comes as JSON, and as a plot.
func TestRunJSON(t *testing.T) {
	var out bytes.Buffer
	file := filepath.Join(t.TempDir(), "told.svg")
	require.Equal(t, 0, told.Run([]string{"-json", "-svg", file}, &out, io.Discard))
	var r history.Report
	require.NoError(t, json.Unmarshal(out.Bytes(), &r))
	assert.Equal(t, []history.Row{{Name: "sockets", Cells: []string{"1", "two"}}}, r.Rows)
	assert.FileExists(t, file)
}

// A slip on the command line is one line and status 2; help is none.
func TestUsage(t *testing.T) {
	for _, args := range [][]string{{"-x"}, {"more"}} {
		var log bytes.Buffer
		assert.Equal(t, 2, told.Run(args, io.Discard, &log), args)
		assert.Equal(t, 1, bytes.Count(log.Bytes(), []byte("\n")), log.String())
	}
	var log bytes.Buffer
	assert.Equal(t, 0, told.Run([]string{"-h"}, io.Discard, &log))
	assert.Contains(t, log.String(), "-svg FILE")
}

// A process without a role is the one that the user started; one with a role that nobody knows ends with an error.
func TestRoles(t *testing.T) {
	handled, err := told.PlayRole(nil, nil)
	assert.False(t, handled)
	assert.NoError(t, err)
	t.Setenv("HISTORY_ROLE", "nobody")
	handled, err = told.PlayRole(nil, nil)
	assert.True(t, handled)
	assert.EqualError(t, err, `unknown role "nobody"`)
	require.NoError(t, os.Unsetenv("HISTORY_ROLE"))
}
