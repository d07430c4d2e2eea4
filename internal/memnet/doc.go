// Package memnet is a network in memory, for tests in the bubbles of testing/synctest: its blocking is of the kind that
// lets a bubble's clock go on, and it has no goroutine and nothing global.
//
// Connections are like those of TCP: a write succeeds until the buffer is full, a half-closed one is read to its end,
// and a reset loses what was under way.
//
// It is internal: what a program's tests need of a network in memory is twenty lines over net.Pipe, as package leaktest shows.
package memnet
