// Package archtest holds the rules of the house as a test: who may import whom, which modules the main module depends
// on, and how long a file may grow.
package archtest
