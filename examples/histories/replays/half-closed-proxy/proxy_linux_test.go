package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/watertight-go/watertight/examples/histories/replays/internal/history"
)

func TestMain(m *testing.M) { history.TestMain(proxy, func() { goleak.VerifyTestMain(m) }) }

// needServers skips a test where the servers are not installed. Where the checks say that they are, or in CI, that is a failure.
func needServers(t *testing.T) {
	if err := enterable(os.TempDir()); err != nil {
		t.Skip(err)
	}
	err := missing(programs)
	if err == nil {
		return
	}
	if os.Getenv("WATERTIGHT_SERVERS") == "required" || os.Getenv("CI") == "true" {
		t.Fatal(err)
	}
	t.Skip(err)
}

// With net/http every open body keeps a socket half-closed, and one in HAProxy, whose options help only HAProxy; ours leaves none. No
// request that can be repeated fails at a server that is reloaded, and none at all at one that is not.
func TestHalfClosedProxy(t *testing.T) {
	needServers(t)
	s := history.NewStage(true, t.Output())
	defer s.End()
	behind, under, err := replay(s)
	require.NoError(t, err)
	report, err := newReport(behind, under, nil)
	require.NoError(t, err)
	assert.Empty(t, report.Faults)

	require.Len(t, behind, 2*len(options))
	for _, p := range behind {
		if p.Transport == history.Std {
			assert.Equal(t, bodies, p.HalfOpen, p.Options)
		} else {
			assert.Zero(t, p.Open, p.Options)
			assert.Zero(t, p.Proxy, p.Options)
		}
	}
	assert.Equal(t, bodies, behind[0].Proxy, "for two hours")
	require.Len(t, under, 2)
	for _, l := range under {
		assert.Positive(t, l.Reloads)
		assert.Equal(t, l.Server == "nginx", l.Killed > 0)
		assert.Zero(t, l.Calm[history.Ours].GetsFailed+l.Calm[history.Ours].PostsFailed, "%s: %v", l.Server, l.Calm[history.Ours].Errors)
		ours := l.Tallies[history.Ours]
		assert.Zero(t, ours.GetsFailed, "%s: %v", l.Server, ours.Errors)
	}
}

// Whatever is not installed is named, with what to do.
func TestMissingServers(t *testing.T) {
	assert.NoError(t, missing(nil))
	assert.EqualError(t, missing([]string{"no-such-server"}), "no-such-server is not installed: apt-get install no-such-server")
}

// So is a folder that keeps the servers' workers from their files.
func TestEnterable(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root's servers have workers of another user")
	}
	if err := enterable(os.TempDir()); err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	require.NoError(t, os.Chmod(filepath.Dir(dir), 0o755))
	within := filepath.Join(dir, "within")
	require.NoError(t, os.Mkdir(within, 0o755))
	require.NoError(t, os.Chmod(dir, 0o755))
	assert.NoError(t, enterable(within))
	require.NoError(t, os.Chmod(dir, 0o750))
	assert.EqualError(t, enterable(within), dir+" is closed to the servers' workers, which are another user's: chmod o+x "+dir)
	assert.Error(t, enterable(filepath.Join(dir, "nothing")))
}
