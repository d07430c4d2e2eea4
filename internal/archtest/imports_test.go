package archtest_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// allowed says what the files of a folder may import besides the standard library; what ends with a slash stands for
// everything below. A folder without a rule of its own has that of the nearest folder above it.
var allowed = map[string][]string{
	".":                    {},
	"pool":                 {},
	"reaper":               {},
	"transport":            {module + "/pool", module + "/reaper", module + "/internal/", "golang.org/x/net/"},
	"transport/auto":       {module + "/transport"},
	"transport/leaktest":   {module + "/transport", leakhook, sockstat},
	"transport/statuspage": {module + "/transport"},
	"internal/http1":       {"golang.org/x/net/http/httpguts", alarm},
	"internal/alarm":       {},
	"internal/memnet":      {},
	"internal/sockstat":    {},
	"internal/timeline":    {sockstat},
	"internal/badserver":   {"golang.org/x/net/"},
	"internal/innocent":    {},
	"internal/leakhook":    {},
	"internal/known/http2": {},
	"internal/archtest":    {},
	"internal/soak":        {module + "/transport", module + "/reaper"},
	"examples":             {module + "/"},
}

// props are what tests use besides, and what nothing else may, as users would have to build it.
var props = []string{
	"github.com/stretchr/testify/",
	"go.uber.org/goleak",
	module + "/internal/memnet",
	module + "/internal/badserver",
	module + "/internal/innocent",
}

// unwelcome are imports that no file may have, and why.
var unwelcome = map[string]string{
	"unsafe": "nothing here is worth it",
	"C":      "users cross-compile",
}

const (
	http2    = "golang.org/x/net/http2"
	http2In  = "transport/http2conn.go"
	sockstat = module + "/internal/sockstat"
	leakhook = module + "/internal/leakhook"
	alarm    = module + "/internal/alarm"
)

// importFaults returns what a file imports against the rules.
func importFaults(s source) (found []string) {
	for _, p := range s.imports() {
		if why := forbidden(s, p); why != "" {
			found = append(found, fmt.Sprintf("%s imports %s: %s", s.path, p, why))
		}
	}
	return found
}

// forbidden returns why a file may not import a package, "" if it may.
func forbidden(s source, pkg string) string {
	if why := unwelcome[pkg]; why != "" {
		return why
	}
	if isStandard(pkg) {
		return ""
	}
	if s.isTest() {
		if matches(pkg, props) || matches(pkg, []string{sockstat, "golang.org/x/net/", module + "/" + s.dir()}) {
			return ""
		}
	} else {
		switch {
		case matches(pkg, props):
			return "it is for tests"
		case pkg == sockstat && !slices.Contains([]string{"transport/leaktest", "internal/timeline"}, s.dir()) && !strings.HasPrefix(s.dir(), "examples"):
			return "it is for tests and examples"
		case pkg == leakhook && s.dir() != "transport" && s.dir() != "transport/leaktest":
			return "it is between transport and transport/leaktest"
		case (pkg == http2 || strings.HasPrefix(pkg, http2+"/")) && s.path != http2In && s.dir() != "internal/badserver":
			return "it is behind " + http2In + " alone"
		}
	}
	rule, at := ruleFor(s.dir())
	switch {
	case rule == nil:
		return fmt.Sprintf("%s has no rule yet about what it may import", s.dir())
	case matches(pkg, rule):
		return ""
	case len(rule) == 0:
		return at + " may import the standard library only"
	}
	return fmt.Sprintf("%s may import the standard library and %s only", at, strings.Join(rule, ", "))
}

// ruleFor returns the rule for a folder, and the folder that it is of.
func ruleFor(dir string) (rule []string, at string) {
	for at = dir; ; {
		if rule, ok := allowed[at]; ok {
			return rule, at
		}
		i := strings.LastIndexByte(at, '/')
		if i < 0 {
			return nil, ""
		}
		at = at[:i]
	}
}

// isStandard reports whether a package is of the standard library: the first element of others has a dot.
func isStandard(pkg string) bool {
	first, _, _ := strings.Cut(pkg, "/")
	return !strings.Contains(first, ".")
}

func matches(pkg string, rule []string) bool {
	return slices.ContainsFunc(rule, func(r string) bool {
		return pkg == r || strings.HasSuffix(r, "/") && strings.HasPrefix(pkg, r)
	})
}

func TestImports(t *testing.T) {
	for _, s := range sources(t, root) {
		for _, fault := range importFaults(s) {
			t.Error(fault)
		}
	}
}

func TestImportRules(t *testing.T) {
	for _, tt := range []struct{ name, file, pkg, want string }{
		{"pool stands alone", "pool/x.go", module + "/reaper", "pool may import the standard library only"},
		{"so does reaper", "reaper/x.go", module + "/pool", "reaper may import the standard library only"},
		{"pool's tests do too", "pool/x_test.go", module + "/transport", "pool may import the standard library only"},
		{"pool is tested from outside", "pool/x_test.go", module + "/pool", ""},
		{"no foreign module", "reaper/x.go", "golang.org/x/sys/unix", "reaper may import the standard library only"},
		{"http1 knows no pool", "internal/http1/x.go", module + "/pool", "internal/http1 may import the standard library and golang.org/x/net/http/httpguts, " + alarm + " only"},
		{"http1 checks fields", "internal/http1/x.go", "golang.org/x/net/http/httpguts", ""},
		{"transport joins them", "transport/x.go", module + "/pool", ""},
		{"transport has no other module", "transport/x.go", "golang.org/x/sys/unix", "transport may import"},
		{"HTTP/2 has its place", "transport/x.go", http2, "transport/http2conn.go alone"},
		{"and all of it", "transport/x.go", http2 + "/hpack", "transport/http2conn.go alone"},
		{"which is this", http2In, http2, ""},
		{"or a test", "transport/x_test.go", http2, ""},
		{"or a bad server", "internal/badserver/x.go", http2, ""},
		{"testify is for tests", "examples/a/main.go", "github.com/stretchr/testify/assert", "for tests"},
		{"goleak is for tests", "transport/leaktest/x.go", "go.uber.org/goleak", "for tests"},
		{"tests have it", "pool/x_test.go", "go.uber.org/goleak", ""},
		{"bad servers are for tests", "transport/x.go", module + "/internal/badserver", "for tests"},
		{"examples look at sockets", "examples/a/main.go", module + "/internal/sockstat", ""},
		{"the transport does not", "transport/x.go", module + "/internal/sockstat", "for tests and examples"},
		{"so are innocent programs", "transport/x.go", module + "/internal/innocent", "for tests"},
		{"assertions look at sockets", "transport/leaktest/x.go", sockstat, ""},
		{"but make no pool", "transport/leaktest/x.go", module + "/pool", "transport/leaktest may import"},
		{"the door has two sides", "transport/leaktest/x.go", leakhook, ""},
		{"and no third", "examples/a/main.go", leakhook, "between transport and transport/leaktest"},
		{"no unsafe", "transport/x_test.go", "unsafe", "nothing here is worth it"},
		{"no cgo", "reaper/x.go", "C", "cross-compile"},
		{"the standard library is free", "pool/x.go", "net/http", ""},
		{"the rule above counts", "transport/new/x.go", module + "/pool", ""},
		{"a new folder wants a rule", "internal/new/x.go", module + "/pool", "no rule yet"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			faults := importFaults(parse(t, tt.file, []byte("package x\nimport _ \""+tt.pkg+"\"\n")))
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
