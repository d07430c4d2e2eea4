// Package archtest holds the rules of the code as tests, so that nobody has to remember them:
//
//   - who may import whom, in the code and in its tests
//   - which modules the main module depends on
//   - how long a file and a function may grow
//   - what no file has: an init function, unsafe, cgo, a note to finish later, a test skipped without a reason
//   - every package's tests end with a look for goroutines left behind
//   - each exported name is in an example that runs
//   - the map in the root's doc.go and the tests that the README names are there
//
// The rules are read from the source by go/parser, files for all systems alike. Modules of their own, found by their
// go.mod, have their own rules and are left out. Each rule is tested on a file that breaks it.
package archtest
