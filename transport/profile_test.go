package transport_test

import (
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/transport"
)

// pprofOf lets go tool pprof read a profile.
func pprofOf(t *testing.T, write func(io.Writer) error, flags ...string) string {
	t.Helper()
	goTool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("there is no go command to read a profile with")
	}
	cache, err := exec.Command(goTool, "env", "GOCACHE").Output()
	if err != nil || strings.TrimSpace(string(cache)) == "off" {
		t.Skip("there is no build cache, as without HOME, and go tool pprof needs one")
	}
	path := filepath.Join(t.TempDir(), "bodies.pb.gz")
	f, err := os.Create(path)
	require.NoError(t, err)
	require.NoError(t, write(f))
	require.NoError(t, f.Close())
	cmd := exec.Command(goTool, append(append([]string{"tool", "pprof"}, flags...), path)...)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "GOFLAGS=", "GOCACHE="+strings.TrimSpace(string(cache)))
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	return string(out)
}

func openHere(s *story) *http.Response  { return s.get("/1000000?token=secret") }
func openThere(s *story) *http.Response { return s.get("/2000000") }

// go tool pprof names the functions that opened bodies, and how many each.
func TestProfileOfOpenBodies(t *testing.T) {
	ours1(t, sized, func(s *story) {
		s.ours.RecordStacks = true
		bodies := []*http.Response{openHere(s), openThere(s), openHere(s)}
		for _, resp := range bodies {
			defer resp.Body.Close()
		}
		top := pprofOf(s.T, s.ours.WriteProfile, "-top")
		assert.Regexp(s, `(?m) 2 +66\.67% .*transport_test\.openHere`, top)
		assert.Regexp(s, `(?m) 1 +33\.33% .*transport_test\.openThere`, top)
		lines := pprofOf(s.T, s.ours.WriteProfile, "-lines", "-traces")
		assert.Contains(s, lines, "profile_test.go:")
		assert.Regexp(s, "origin: +"+s.server.URL, lines)
		assert.NotContains(s, lines, "secret")
		assert.Contains(s, pprofOf(s.T, s.ours.WriteProfile, "-top", "-sample_index=age"), "Type: age")
	})
}

// Without recorded stacks the bodies are counted, and the field is named.
func TestProfileWithoutStacks(t *testing.T) {
	ours1(t, sized, func(s *story) {
		assert.Contains(s, pprofOf(s.T, s.ours.WriteProfile, "-top"), "0, 0%", "before the first request")
		defer openHere(s).Body.Close()
		assert.Contains(s, pprofOf(s.T, s.ours.WriteProfile, "-top"), "set RecordStacks")
	})
}

// A Guard's bodies have the same profile; what cannot be written is the writer's error.
func TestProfileOfAGuard(t *testing.T) {
	s := newStory(t, sized, false, false)
	g := &transport.Guard{Base: s.rt, RecordStacks: true}
	resp, err := (&http.Client{Transport: g}).Get(s.server.URL + "/1000000")
	require.NoError(t, err)
	defer resp.Body.Close()
	top := pprofOf(t, g.WriteProfile, "-top")
	assert.Contains(t, top, "TestProfileOfAGuard")
	assert.NotContains(t, top, " net/http.")
	require.NoError(t, resp.Body.Close())
	assert.ErrorIs(t, g.WriteProfile(failingWriter{}), io.ErrClosedPipe)
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }
