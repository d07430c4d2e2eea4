package archtest_test

import (
	"go/ast"
	"go/doc"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// unshown are methods that callers hardly ever name: others call them.
var unshown = []string{"Collect", "Describe", "Error", "Is", "Temporary", "Timeout", "Unwrap"}

// needNotRun are the folders whose examples need not run: package testing alone can make what their functions take.
var needNotRun = map[string]bool{"transport/leaktest": true}

// A shelf is what a package exports, and what its examples that run name.
type shelf struct {
	exported []string // "Name" or "Type.Method"
	shown    map[string]bool
}

// put adds a file.
func (b *shelf) put(s source) {
	if s.isTest() {
		for _, e := range doc.Examples(s.file) {
			if e.Output == "" && !e.EmptyOutput && !needNotRun[s.dir()] {
				continue
			}
			for name := range strings.SplitSeq(e.Name, "_") {
				b.shown[name] = true
			}
			ast.Inspect(e.Code, func(n ast.Node) bool {
				if id, ok := n.(*ast.Ident); ok {
					b.shown[id.Name] = true
				}
				return true
			})
		}
		return
	}
	for _, decl := range s.file.Decls {
		b.exported = append(b.exported, names(decl)...)
	}
}

// names returns what a declaration exports.
func names(decl ast.Decl) (found []string) {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		if d.Recv == nil && d.Name.IsExported() {
			return []string{d.Name.Name}
		}
		if owner := receiver(d); d.Name.IsExported() && ast.IsExported(owner) && !slices.Contains(unshown, d.Name.Name) {
			return []string{owner + "." + d.Name.Name}
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.TypeSpec:
				found = append(found, s.Name.Name)
			case *ast.ValueSpec:
				for _, id := range s.Names {
					found = append(found, id.Name)
				}
			}
		}
	}
	return slices.DeleteFunc(found, func(name string) bool { return !ast.IsExported(name) })
}

// receiver returns the name of a method's type, "" for a function.
func receiver(d *ast.FuncDecl) string {
	if d.Recv == nil {
		return ""
	}
	t := d.Recv.List[0].Type
	for {
		switch inner := t.(type) {
		case *ast.StarExpr:
			t = inner.X
		case *ast.IndexExpr:
			t = inner.X
		case *ast.IndexListExpr:
			t = inner.X
		case *ast.Ident:
			return inner.Name
		default:
			return ""
		}
	}
}

// missing returns what is exported and in no example.
func (b *shelf) missing() (found []string) {
	for _, name := range b.exported {
		if !b.shown[name[strings.LastIndexByte(name, '.')+1:]] {
			found = append(found, name)
		}
	}
	return found
}

// Each function, type, method, constant and variable that users may name is in an example of its package that runs.
func TestExamples(t *testing.T) {
	shelves := map[string]*shelf{}
	put := func(dir string, s source) {
		if dir != "." && !strings.HasPrefix(dir, "internal/") && !strings.HasPrefix(dir, "examples") {
			if shelves[dir] == nil {
				shelves[dir] = &shelf{shown: map[string]bool{}}
			}
			shelves[dir].put(s)
		}
	}
	for _, s := range sources(t, root) {
		put(s.dir(), s)
	}
	for _, module := range []string{"transport/prometheus", "transport/opentelemetry"} {
		for _, s := range sources(t, filepath.Join(root, filepath.FromSlash(module))) {
			put(path.Join(module, s.dir()), s)
		}
	}
	require.NotEmpty(t, shelves)
	for dir, b := range shelves {
		assert.NotEmpty(t, b.exported, dir)
		for _, name := range b.missing() {
			t.Errorf("%s: no example that runs names %s", dir, name)
		}
	}
}

func TestExampleRules(t *testing.T) {
	const code = "package x\ntype T[K any] struct{}\nfunc (*T[K]) M() {}\nfunc (*T[K]) Error() string { return \"\" }\nfunc (*T[K]) m() {}\nfunc f() {}\nconst C = 1\n"
	for _, tt := range []struct {
		name, example string
		want          []string
	}{
		{"nothing is shown", "func Example() {\n\t// Output:\n}", []string{"T", "T.M", "C"}},
		{"all is shown", "func Example() {\n\tT[int]{}.M()\n\t_ = C\n\t// Output:\n}", nil},
		{"one is in the example's name", "func ExampleT() {\n\t_ = C\n\t// Output:\n}", []string{"T.M"}},
		{"an example that does not run", "func Example() {\n\tT[int]{}.M()\n\t_ = C\n}", []string{"T", "T.M", "C"}},
		{"a test", "func TestX() {\n\tT[int]{}.M()\n\t_ = C\n\t// Output:\n}", []string{"T", "T.M", "C"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := shelf{shown: map[string]bool{}}
			b.put(parse(t, "pool/x.go", []byte(code)))
			b.put(parse(t, "pool/x_test.go", []byte("package x\n"+tt.example+"\n")))
			assert.Equal(t, tt.want, b.missing())
		})
	}
}
