package leaktest

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/watertight-go/watertight/transport"
)

// VerifyDefault replaces [http.DefaultTransport], until tb ends, by a fresh *http.Transport with the same settings and a Transport of ours
// installed in it. When tb ends, that is checked and closed as one of [NewTransport], and http.DefaultTransport is restored. It is for code
// that uses http.Get, http.DefaultClient or a client without a Transport, and for code that asserts that http.DefaultTransport is an
// *http.Transport. Bodies of a Clone of that are not seen.
//
// There is one http.DefaultTransport for the whole process, and parallel tests would be blamed for each other's bodies. So
// VerifyDefault panics in a test that is parallel or has a parallel ancestor, and T.Parallel panics after it, as with
// [testing.T.Setenv], which it uses for that. It fails tb at once if http.DefaultTransport is neither an *http.Transport nor one of ours.
func VerifyDefault(tb testing.TB) {
	tb.Helper()
	refuseParallel(tb)
	before := http.DefaultTransport
	fresh, ours, err := freshDefault(before)
	if err != nil {
		tb.Fatal(err)
	}
	http.DefaultTransport = fresh
	tb.Cleanup(func() {
		tb.Helper()
		http.DefaultTransport = before
		end(tb, ours)
	})
}

// freshDefault returns what takes the place of http.DefaultTransport, and the Transport that does its work.
func freshDefault(before http.RoundTripper) (http.RoundTripper, *transport.Transport, error) {
	switch before := before.(type) {
	case *transport.Transport:
		ours := before.Clone()
		return ours, ours, nil
	case *http.Transport:
		fresh := before.Clone()
		ours, err := transport.Install(fresh)
		if err != nil {
			return nil, nil, fmt.Errorf("leaktest: VerifyDefault: %w", err)
		}
		return fresh, ours, nil
	}
	return nil, nil, fmt.Errorf("leaktest: VerifyDefault: http.DefaultTransport is a %T, in which nothing can be installed: it must be an *http.Transport", before)
}

// serialVariable is set for the length of a test that has http.DefaultTransport to itself: package testing has no other way to
// say that a test is not parallel.
const serialVariable = "WATERTIGHT_LEAKTEST_DEFAULT"

// refuseParallel panics if tb is parallel, or has a parallel ancestor, and has it panic if it becomes so.
func refuseParallel(tb testing.TB) {
	defer func() {
		if recover() != nil {
			panic("leaktest: VerifyDefault in a parallel test: all tests share http.DefaultTransport, so their leaks cannot be told apart; give the code under test the client of leaktest.NewClient")
		}
	}()
	tb.Setenv(serialVariable, tb.Name())
}
