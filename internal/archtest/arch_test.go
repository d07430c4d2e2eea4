package archtest

import (
	"bufio"
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	module   = "github.com/watertight-go/watertight"
	maxLines = 450
)

// allowed says what the files of a folder, without tests, may import besides the standard library. A folder that is
// not named may import everything of ours.
var allowed = map[string][]string{
	"pool":               {},
	"reaper":             {},
	"internal/http1":     {"golang.org/x/net/http/httpguts"},
	"internal/sockstat":  {},
	"internal/memnet":    {},
	"transport":          {module + "/pool", module + "/reaper", module + "/internal/", "golang.org/x/net/"},
	"transport/auto":     {module + "/transport"},
	"transport/leaktest": {module + "/transport", module + "/internal/"},
}

// A source is one parsed file of the main module.
type source struct {
	path  string // from the root, with slashes
	lines int
	file  *ast.File
}

func (s source) dir() string  { return filepath.ToSlash(filepath.Dir(s.path)) }
func (s source) isTest() bool { return strings.HasSuffix(s.path, "_test.go") }

// sources parses the main module; folders with a go.mod of their own are other modules.
func sources(t *testing.T, root string) []source {
	var all []source
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if path == root {
				return nil
			}
			if _, err := os.Stat(filepath.Join(path, "go.mod")); err == nil || strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, text, 0)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		all = append(all, source{filepath.ToSlash(rel), bytes.Count(text, []byte("\n")), file})
		return nil
	})
	require.NoError(t, err)
	return all
}

// faults returns what a file does against the rules.
func (s source) faults() (found []string) {
	fault := func(format string, args ...any) {
		found = append(found, s.path+": "+fmt.Sprintf(format, args...))
	}
	if s.isTest() {
		return nil
	}
	if s.lines > maxLines {
		fault("%d lines, of at most %d: more than one noun?", s.lines, maxLines)
	}
	for _, spec := range s.file.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			fault("import %s: %v", spec.Path.Value, err)
			continue
		}
		if why := forbidden(s, path); why != "" {
			fault("imports %s: %s", path, why)
		}
	}
	for _, decl := range s.file.Decls {
		if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" && s.dir() != "transport/auto" {
			fault("has an init function")
		}
	}
	return found
}

// forbidden returns why a file may not import path, "" if it may.
func forbidden(s source, path string) string {
	switch {
	case path == "unsafe":
		return "nothing here is worth it"
	case strings.HasPrefix(path, "github.com/stretchr/"), strings.HasPrefix(path, "go.uber.org/"):
		return "it is for tests"
	case path == "golang.org/x/net/http2" && s.path != "transport/http2conn.go" && s.dir() != "internal/badserver":
		return "it is behind transport/http2conn.go alone"
	}
	prefixes, ok := allowed[s.dir()]
	standard := !strings.Contains(strings.SplitN(path, "/", 2)[0], ".")
	if !ok || standard {
		return ""
	}
	for _, p := range prefixes {
		if path == p || strings.HasSuffix(p, "/") && strings.HasPrefix(path, p) {
			return ""
		}
	}
	return fmt.Sprintf("%s may import %v besides the standard library", s.dir(), prefixes)
}

func TestRules(t *testing.T) {
	all := sources(t, filepath.Join("..", ".."))
	require.NotEmpty(t, all)
	for _, s := range all {
		for _, f := range s.faults() {
			t.Error(f)
		}
	}
}

// The rules find what breaks them.
func TestRulesFindFaults(t *testing.T) {
	for _, tt := range []struct{ path, text, want string }{
		{"pool/x.go", `package pool; import _ "` + module + `/reaper"`, "may import"},
		{"reaper/x.go", `package reaper; import _ "golang.org/x/sys/unix"`, "may import"},
		{"transport/x.go", `package transport; import _ "golang.org/x/net/http2"`, "http2conn.go alone"},
		{"transport/x.go", `package transport; import _ "unsafe"`, "unsafe"},
		{"transport/x.go", `package transport; func init() {}`, "init function"},
		{"examples/x/x.go", `package main; import _ "github.com/stretchr/testify/assert"`, "for tests"},
	} {
		file, err := parser.ParseFile(token.NewFileSet(), tt.path, tt.text, 0)
		require.NoError(t, err)
		faults := source{tt.path, 1, file}.faults()
		if assert.Len(t, faults, 1, tt.text) {
			assert.Contains(t, faults[0], tt.want)
		}
	}
	assert.Len(t, source{"pool/x.go", maxLines + 1, &ast.File{}}.faults(), 1)
	assert.Empty(t, source{"pool/x_test.go", maxLines + 1, &ast.File{}}.faults())
}

// Every test that the README names exists.
func TestReadmeNamesTests(t *testing.T) {
	root := filepath.Join("..", "..")
	defined := map[string]bool{}
	for _, s := range sources(t, root) {
		for _, decl := range s.file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && s.isTest() {
				defined[f.Name.Name] = true
			}
		}
	}
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	require.NoError(t, err)
	names := regexp.MustCompile("`((?:Test|Fuzz|Benchmark)[A-Za-z0-9_]+)`").FindAllSubmatch(text, -1)
	require.NotEmpty(t, names)
	for _, name := range names {
		assert.True(t, defined[string(name[1])], "the README names %s", name[1])
	}
}

// The main module depends on these and nothing else, but for what they bring.
func TestDirectDependencies(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "go.mod"))
	require.NoError(t, err)
	var direct []string
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		fields := strings.Fields(strings.TrimPrefix(lines.Text(), "require "))
		if len(fields) == 2 && strings.HasPrefix(fields[1], "v") {
			direct = append(direct, fields[0])
		}
	}
	assert.ElementsMatch(t, []string{"golang.org/x/net", "github.com/stretchr/testify", "go.uber.org/goleak"}, direct)
}
