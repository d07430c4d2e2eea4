// Package soak has the tests that run for as long as one likes: servers that misbehave at random, callers that do, and
// between them one Transport, of which it is asked again and again whether all is where it was.
//
//	go test ./internal/soak -run TestSoak -soak.for=1h -soak.seed=0
//	go test ./internal/soak -run TestDesync -desync.exchanges=1000000 -desync.seed=0
//
// A seed of 0 is the time, and is printed. It gives the same requests and faults again, but not the same order of events.
//
// There is no code but the tests.
package soak
