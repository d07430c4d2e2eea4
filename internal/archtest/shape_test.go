package archtest_test

import (
	"fmt"
	"go/ast"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// More is more than one noun in a file, or more than one thought in a function. Tests may list cases.
const (
	maxLines         = 450
	maxFunctionLines = 60
)

// mayInit are the folders whose files may have an init function, and why.
var mayInit = map[string]string{
	"transport/auto":     "that it is imported is all that its user says",
	"transport/leaktest": "a Transport is often made and used before the first call of a test's",
}

// unfinished finds notes for later, at the start of a line of a comment.
var unfinished = regexp.MustCompile(`(?m)^(//|/\*)?\s*(TODO|FIXME|XXX|HACK)\b`)

// shapeFaults returns what a file has that no file should.
func shapeFaults(s source) (found []string) {
	fault := func(format string, args ...any) {
		found = append(found, s.path+": "+fmt.Sprintf(format, args...))
	}
	if s.lines > maxLines && !s.isTest() {
		fault("%d lines, of at most %d", s.lines, maxLines)
	}
	if s.dir() == "." && s.path != "doc.go" {
		fault("the root holds doc.go only")
	}
	for _, f := range s.functions() {
		lines := s.set.Position(f.End()).Line - s.set.Position(f.Pos()).Line + 1
		if lines > maxFunctionLines && !s.isTest() {
			fault("%s has %d lines, of at most %d", f.Name.Name, lines, maxFunctionLines)
		}
		if f.Recv == nil && f.Name.Name == "init" && mayInit[s.dir()] == "" {
			fault("has an init function")
		}
	}
	for _, group := range s.file.Comments {
		if note := unfinished.FindString(group.Text()); note != "" {
			fault("has a %s left", strings.TrimSpace(note))
		}
	}
	ast.Inspect(s.file, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok && s.isTest() && skipsSilently(call) {
			fault("line %d skips a test without a reason", s.set.Position(call.Pos()).Line)
		}
		return true
	})
	return found
}

// skipsSilently reports whether a call is t.Skip() or t.SkipNow().
func skipsSilently(call *ast.CallExpr) bool {
	selector, ok := call.Fun.(*ast.SelectorExpr)
	return ok && len(call.Args) == 0 && (selector.Sel.Name == "Skip" || selector.Sel.Name == "SkipNow")
}

func TestShape(t *testing.T) {
	for _, s := range sources(t, root) {
		for _, fault := range shapeFaults(s) {
			t.Error(fault)
		}
	}
}

func TestShapeRules(t *testing.T) {
	long := "package x\nfunc f() {" + strings.Repeat("\n", maxFunctionLines) + "}\n"
	for _, tt := range []struct{ name, file, text, want string }{
		{"a file of the greatest length", "pool/x.go", "package x" + strings.Repeat("\n", maxLines), ""},
		{"a line more", "pool/x.go", "package x" + strings.Repeat("\n", maxLines+1), "451 lines"},
		{"tests may be longer", "pool/x_test.go", "package x" + strings.Repeat("\n", maxLines+1), ""},
		{"a long function", "pool/x.go", long, "f has 61 lines"},
		{"one in a test", "pool/x_test.go", long, ""},
		{"code in the root", "x.go", "package x", "doc.go only"},
		{"an init function", "transport/x.go", "package x\nfunc init() {}", "init function"},
		{"one in a test", "transport/x_test.go", "package x\nfunc init() {}", "init function"},
		{"a method of that name", "transport/x.go", "package x\nfunc (t T) init() {}", ""},
		{"the package that is for it", "transport/auto/x.go", "package x\nfunc init() {}", ""},
		{"a note for later", "pool/x.go", "package x\n\nvar a int // TODO: count\n", "TODO"},
		{"a test skipped silently", "pool/x_test.go", "package x\nfunc f() { t.SkipNow() }", "line 2"},
		{"one skipped for a reason", "pool/x_test.go", "package x\nfunc f() { t.Skip(\"no IPv6 here\") }", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			faults := shapeFaults(parse(t, tt.file, []byte(tt.text)))
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
