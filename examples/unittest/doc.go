// Package unittest is a small API client whose tests look for leaks with transport/leaktest, as a project downstream has it.
//
// With the tag "leak" one of its methods forgets to close a body, and the test names the line:
//
//	go test            passes
//	go test -tags leak fails
package unittest
