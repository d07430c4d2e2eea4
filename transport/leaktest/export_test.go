package leaktest

import "io"

// Records returns how many Transports are remembered.
func Records() int { return len(records.list()) }

// Check is what is done after the tests of a package that passed.
func Check(out io.Writer) int { return checked{passed{}, out}.Run() }

type passed struct{}

func (passed) Run() int { return 0 }
