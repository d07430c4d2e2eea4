package leaktest

import (
	"fmt"
	"io"
	"os"
)

// TestingM is the part of [testing.M] that is needed.
type TestingM interface {
	Run() int
}

// VerifyTestMain runs the tests of a package and ends the process. If the tests passed, it fails the package for every response body that
// any Transport of the process handed out and that is not finished, whichever test or code of the program made the Transport:
//
//	func TestMain(m *testing.M) { leaktest.VerifyTestMain(m) }
//
// What another check has reported is not reported again. At the end all Transports are closed, and no socket and no goroutine of
// them may be left. To use it together with package goleak see [Wrap].
func VerifyTestMain(m TestingM) { os.Exit(Wrap(m).Run()) }

// Wrap returns an m whose Run does what [VerifyTestMain] does, and returns the exit code instead of ending the process:
//
//	func TestMain(m *testing.M) { goleak.VerifyTestMain(leaktest.Wrap(m)) }
func Wrap(m TestingM) TestingM { return checked{m, os.Stderr} }

type checked struct {
	m   TestingM
	out io.Writer
}

// Run runs the tests, and if they passed, checks.
func (c checked) Run() int {
	code := c.m.Run()
	if code != 0 {
		return code
	}
	if err := conclude(records.list()...).err(); err != nil {
		fmt.Fprintln(c.out, err)
		return 1
	}
	return 0
}
