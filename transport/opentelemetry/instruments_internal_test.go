package opentelemetry

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// No reason and no cause is forgotten: those that the sources of transport and pool declare start at 0.
func TestReasonsAndCausesAreComplete(t *testing.T) {
	var whys, hows []string
	for _, r := range reasons() {
		whys = append(whys, string(r))
	}
	for _, c := range causes() {
		hows = append(hows, string(c))
	}
	assert.ElementsMatch(t, append(constants(t, "../*.go", "pool.Reason"), constants(t, "../../pool/*.go", "Reason")...), whys)
	assert.ElementsMatch(t, constants(t, "../*.go", "LeakCause"), hows)
}

// constants returns the values of the constants of a type that files declare.
func constants(t *testing.T, pattern, of string) (values []string) {
	paths, err := filepath.Glob(pattern)
	require.NoError(t, err)
	for _, path := range paths {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		require.NoError(t, err)
		ast.Inspect(file, func(n ast.Node) bool {
			if spec, ok := n.(*ast.ValueSpec); ok && spec.Type != nil && name(spec.Type) == of {
				for _, v := range spec.Values {
					if text, ok := v.(*ast.BasicLit); ok {
						value, err := strconv.Unquote(text.Value)
						require.NoError(t, err)
						values = append(values, value)
					}
				}
			}
			return true
		})
	}
	require.NotEmpty(t, values, pattern)
	return values
}

func name(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return name(e.X) + "." + e.Sel.Name
	}
	return ""
}
