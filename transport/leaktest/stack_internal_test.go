package leaktest

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
)

// However deep the module that made the request, the program's own line is shown.
func TestDeepStacksShowTheProgram(t *testing.T) {
	var users []frame
	for line := range 10 {
		users = append(users, frame{"dep.example/client.call", "client.go", line})
	}
	own := frame{module + "examples/unittest.TestUser", "client_test.go", 1}
	for name, tt := range map[string]struct{ users, want []frame }{
		"shallow": {append(users[:3:3], own), append(users[:3:3], own)},
		"deep":    {append(users[:10:10], own, own), append(users[:5:5], own)},
		"unknown": {users, users[:6]},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, tt.want, shown(tt.users)) })
	}
}

// A goroutine in the program's code may read a body. That of a server does not, nor HTTP/2's, which reads the program's request body.
func TestWhoMayRead(t *testing.T) {
	program, server := frame{"example.com/app.work", "app.go", 1}, frame{"net/http.(*Server).Serve", "server.go", 1}
	for name, tt := range map[string]struct {
		stack []frame
		want  bool
	}{
		"the program's":                  {[]frame{program}, true},
		"a server's":                     {[]frame{program, server}, false},
		"a server's handler":             {[]frame{program, {"net/http.(*conn).serve", "server.go", 1}}, false},
		"a test's":                       {[]frame{program, {"testing.tRunner", "testing.go", 1}}, false},
		"HTTP/2's":                       {[]frame{program, {"golang.org/x/net/http2.(*clientStream).doRequest", "transport.go", 1}}, false},
		"HTTP/2's, where it is net/http": {[]frame{program, {"net/http/internal/http2.(*clientStream).doRequest", "transport.go", 1}}, false},
		"one of ours":                    {[]frame{{module + "transport.(*core).sweep", "forgotten.go", 1}}, false},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, tt.want, running{stack: tt.stack}.mayRead()) })
	}
}

// Of a goroutine that is in the middle of a deep recursion, of which the runtime leaves the middle out, both ends are known, and who
// started it.
func TestGoroutinesInARecursion(t *testing.T) {
	deep, end := make(chan uint64), make(chan struct{})
	go sink(200, func() {
		deep <- goroutine()
		<-end
	})
	number := <-deep
	for _, g := range everyGoroutine() {
		if g.number != number {
			continue
		}
		assert.Equal(t, goroutine(), g.creator)
		assert.Equal(t, "stack_internal_test.go", filepath.Base(g.started.file))
		for _, f := range g.stack {
			assert.Contains(t, f.function, "leaktest.")
			assert.Equal(t, "stack_internal_test.go", filepath.Base(f.file))
		}
		number = 0
	}
	assert.Zero(t, number, "not found")
	close(end)
}

// sink calls f from so deep.
func sink(frames int, f func()) {
	if frames == 0 {
		f()
		return
	}
	sink(frames-1, f)
}

// In a binary that was built with -trimpath the main module is the program's, also where its path has no dot.
func TestTrimmedPaths(t *testing.T) {
	defer func(folder, main func() string) { standardFolder, mainModule = folder, main }(standardFolder, mainModule)
	standardFolder = func() string { return "" }
	mainModule = func() string { return "shop" }
	for function, want := range map[string]bool{
		"shop.Users": false, "shop/api.(*Client).Users": false, "shop_test.TestUsers": false, "main.main": false, "example.com/api.Get": false,
		"shopping/api.Get": true, "net/http.Get": true, "testing.tRunner": true,
	} {
		assert.Equal(t, want, isStandard(function, "api.go"), function)
	}
}
