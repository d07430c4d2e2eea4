package archtest_test

import (
	"go/ast"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// documents returns the texts of the module's documents by their path from the root.
func documents(t *testing.T, root string) map[string]string {
	texts := map[string]string{}
	for path, text := range files(t, root, ".md") {
		texts[path] = string(text)
	}
	return texts
}

var link = regexp.MustCompile(`\]\(([^)#\s]*)(#[^)\s]*)?\)`)

// deadLinks returns the relative links of a document that lead nowhere.
func deadLinks(root, path, text string) (found []string) {
	for _, match := range link.FindAllStringSubmatch(text, -1) {
		if to := match[1]; to != "" && !strings.Contains(to, "://") {
			if _, err := os.Stat(filepath.Join(root, filepath.Dir(path), filepath.FromSlash(to))); err != nil {
				found = append(found, to)
			}
		}
	}
	return found
}

func TestDocumentsLink(t *testing.T) {
	texts := documents(t, root)
	for path, text := range texts {
		assert.Empty(t, deadLinks(root, path, text), path)
	}
	for path := range texts {
		if dir := filepath.Dir(path); path != "README.md" && (dir == "." || dir == "docs") {
			assert.True(t, strings.Contains(texts["README.md"], "]("+path+")"), "the README does not link %s", path)
		}
	}
}

func TestDeadLinks(t *testing.T) {
	assert.Equal(t, []string{"none.md"}, deadLinks(root, "docs/x.md", "[a](../README.md#b) [c](none.md) [d](https://a.example/none) [e](#f)"))
}

// Each field of Transport is in a table of docs/migrating.md.
func TestMigratingNamesEachField(t *testing.T) {
	text := documents(t, root)["docs/migrating.md"]
	fields := 0
	for _, s := range sources(t, root) {
		if s.path != "transport/transport.go" {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok || spec.Name.Name != "Transport" {
				return true
			}
			for _, f := range spec.Type.(*ast.StructType).Fields.List {
				for _, name := range f.Names {
					if name.IsExported() {
						fields++
						assert.Contains(t, text, "| `"+name.Name+"` |")
					}
				}
			}
			return false
		})
	}
	assert.Greater(t, fields, 30)
}
