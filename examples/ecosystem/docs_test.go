//go:build linux

package ecosystem_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// docs/ecosystem.md names every test there is, and no other.
func TestDocs(t *testing.T) {
	names := func(pattern, path string) (found []string) {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		for _, match := range regexp.MustCompile(pattern).FindAllSubmatch(text, -1) {
			found = append(found, string(match[1]))
		}
		return found
	}
	paths, err := filepath.Glob("*_test.go")
	require.NoError(t, err)
	var tests []string
	for _, path := range paths {
		if path != "main_test.go" && path != "docs_test.go" {
			tests = append(tests, names(`(?m)^func (Test\w+)`, path)...)
		}
	}
	assert.ElementsMatch(t, tests, names("`(Test\\w+)`", "../../docs/ecosystem.md"))
}
