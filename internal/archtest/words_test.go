package archtest_test

import (
	"go/ast"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var (
	testName = regexp.MustCompile("`((?:Test|Fuzz|Benchmark|Example)[A-Za-z0-9_]+)`")
	mapLine  = regexp.MustCompile(`(?m)^\t([a-z0-9/]+/)  +\S`)
	fileName = regexp.MustCompile(`\b[a-z0-9_]+\.go\b`)
)

// Every test that the README names exists.
func TestReadmeNamesTests(t *testing.T) {
	defined := map[string]bool{}
	for _, s := range sources(t, root) {
		for _, f := range s.functions() {
			defined[f.Name.Name] = defined[f.Name.Name] || s.isTest()
		}
	}
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	require.NoError(t, err)
	names := testName.FindAllSubmatch(text, -1)
	require.NotEmpty(t, names)
	for _, name := range names {
		assert.True(t, defined[string(name[1])], "the README names %s", name[1])
	}
}

// The map in the root's doc.go shows every folder with code, and no other; the files on the line of one request are in
// transport.
func TestMapIsTrue(t *testing.T) {
	var text string
	folders := map[string]bool{}
	for _, s := range sources(t, root) {
		if s.path == "doc.go" {
			text = s.file.Doc.Text()
		} else {
			folders[s.dir()+"/"] = true
		}
	}
	shown := map[string]bool{}
	for _, match := range mapLine.FindAllStringSubmatch(text, -1) {
		shown[match[1]] = true
		assert.DirExists(t, filepath.Join(root, filepath.FromSlash(match[1])))
	}
	require.NotEmpty(t, shown)
	for folder := range folders {
		assert.True(t, shown[folder] || strings.HasPrefix(folder, "examples/"), "the map does not show %s", folder)
	}
	names := fileName.FindAllString(text, -1)
	require.NotEmpty(t, names)
	for _, name := range names {
		assert.FileExists(t, filepath.Join(root, "transport", name))
	}
}

// Every package with tests looks for goroutines that they left behind.
func TestGoroutinesAreLookedFor(t *testing.T) {
	looks := map[string]bool{}
	for _, s := range sources(t, root) {
		if s.isTest() {
			looks[s.dir()] = looks[s.dir()] || looksForGoroutines(s)
		}
	}
	require.NotEmpty(t, looks)
	for dir, ok := range looks {
		assert.True(t, ok, "no test file of %s calls goleak.VerifyTestMain", dir)
	}
	assert.False(t, looksForGoroutines(parse(t, "x_test.go", []byte("package x\nfunc TestMain() { m.Run() }"))))
}

func looksForGoroutines(s source) (found bool) {
	ast.Inspect(s.file, func(n ast.Node) bool {
		if selector, ok := n.(*ast.SelectorExpr); ok && selector.Sel.Name == "VerifyTestMain" {
			found = true
		}
		return true
	})
	return found
}
