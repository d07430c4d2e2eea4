package archtest_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"iter"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const module = "github.com/watertight-go/watertight"

var root = filepath.Join("..", "..")

// A source is one parsed file.
type source struct {
	path  string // from the root, with slashes
	lines int
	set   *token.FileSet
	file  *ast.File
}

func (s source) dir() string  { return path.Dir(s.path) }
func (s source) isTest() bool { return strings.HasSuffix(s.path, "_test.go") }

// imports returns the paths that the file imports.
func (s source) imports() (paths []string) {
	for _, spec := range s.file.Imports {
		if p, err := strconv.Unquote(spec.Path.Value); err == nil {
			paths = append(paths, p)
		}
	}
	return paths
}

// functions returns the functions and methods that the file declares.
func (s source) functions() (all []*ast.FuncDecl) {
	for _, decl := range s.file.Decls {
		if f, ok := decl.(*ast.FuncDecl); ok {
			all = append(all, f)
		}
	}
	return all
}

// parse parses one file, to be known by its path from the root.
func parse(t *testing.T, path string, text []byte) source {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, text, parser.ParseComments)
	require.NoError(t, err)
	return source{path, bytes.Count(text, []byte("\n")), set, file}
}

// files goes through the module's files in a folder whose names end so: their paths from there, with slashes, and what they say.
// Folders with a go.mod of their own are other modules.
func files(t *testing.T, root, suffix string) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		none := true
		require.NoError(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case d.IsDir() && path != root && isForeign(path, d.Name()):
				return filepath.SkipDir
			case d.IsDir() || !strings.HasSuffix(path, suffix):
				return nil
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			rel, err := filepath.Rel(root, path)
			if err != nil {
				return err
			}
			if none = false; !yield(filepath.ToSlash(rel), text) {
				return filepath.SkipAll
			}
			return nil
		}))
		require.False(t, none, "no file ends in %s", suffix)
	}
}

// sources parses all Go files of the module in a folder, whatever system they are for.
func sources(t *testing.T, root string) (all []source) {
	for path, text := range files(t, root, ".go") {
		all = append(all, parse(t, path, text))
	}
	return all
}

// isForeign reports whether a folder is none of the module's: the go command's own rules.
func isForeign(path, name string) bool {
	if strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") || name == "testdata" {
		return true
	}
	_, err := os.Stat(filepath.Join(path, "go.mod"))
	return err == nil
}

// Other modules, hidden folders and test data are left out.
func TestSources(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a.go", "in/b_test.go", "nested/go.mod", "nested/c.go", ".hidden/d.go", "testdata/e.go", "in/f.txt"} {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("package x\n"), 0o600))
	}
	var paths []string
	for _, s := range sources(t, dir) {
		paths = append(paths, s.path)
	}
	require.Equal(t, []string{"a.go", "in/b_test.go"}, paths)
}
