package archtest_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// dependencies are what the main module depends on directly, the last two for its tests.
var dependencies = []string{"golang.org/x/net", "github.com/stretchr/testify", "go.uber.org/goleak"}

// A modFile is what "go mod edit -json" tells of a go.mod.
type modFile struct {
	Module  struct{ Path string }
	Require []struct {
		Path     string
		Indirect bool
	}
	Replace, Exclude, Tool []struct{}
}

func readModFile(t *testing.T, path string) (m modFile) {
	cmd := exec.Command("go", "mod", "edit", "-json", path)
	cmd.Env = append(os.Environ(), "GOWORK=off")
	out, err := cmd.Output()
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(out, &m))
	return m
}

// faults returns what the main module's go.mod has against the rules.
func (m modFile) faults() (found []string) {
	if m.Module.Path != module {
		found = append(found, fmt.Sprintf("go.mod is of module %s, not %s", m.Module.Path, module))
	}
	var direct []string
	for _, r := range m.Require {
		if !r.Indirect {
			direct = append(direct, r.Path)
			if !slices.Contains(dependencies, r.Path) {
				found = append(found, "go.mod requires "+r.Path)
			}
		}
	}
	for _, d := range dependencies {
		if !slices.Contains(direct, d) {
			found = append(found, "go.mod does not require "+d)
		}
	}
	if len(m.Replace)+len(m.Exclude) > 0 {
		found = append(found, "go.mod replaces or excludes a module: that does not reach users")
	}
	if len(m.Tool) > 0 {
		found = append(found, "go.mod names a tool: that belongs into internal/tools")
	}
	return found
}

func TestDependencies(t *testing.T) {
	for _, fault := range readModFile(t, filepath.Join(root, "go.mod")).faults() {
		t.Error(fault)
	}
}

func TestDependencyRules(t *testing.T) {
	good := "module " + module + "\nrequire (\n"
	for _, d := range dependencies {
		good += "\t" + d + " v1.0.0 // for a reason\n"
	}
	good += ")\n"
	for _, tt := range []struct{ name, text, want string }{
		{"as it should be", good + "require a.example/b v1.0.0 // indirect\n", ""},
		{"one too many", good + "require a.example/b v1.0.0 // handy\n", "requires a.example/b"},
		{"one too few", strings.Replace(good, "v1.0.0 // for a reason", "v1.0.0 // indirect", 1), "does not require golang.org/x/net"},
		{"another name", strings.Replace(good, module, "b.example/c", 1), "b.example/c"},
		{"replaced", good + "replace golang.org/x/net => ../net\n", "replaces"},
		{"a tool", good + "tool golang.org/x/net/cmd/x\n", "internal/tools"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "go.mod")
			require.NoError(t, os.WriteFile(path, []byte(tt.text), 0o600))
			faults := readModFile(t, path).faults()
			if tt.want == "" {
				assert.Empty(t, faults)
				return
			}
			if assert.Len(t, faults, 1) {
				assert.Contains(t, faults[0], tt.want)
			}
		})
	}
}
