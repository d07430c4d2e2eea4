package leaktest_test

import (
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/watertight-go/watertight/internal/memnet"
	"github.com/watertight-go/watertight/transport"
	"github.com/watertight-go/watertight/transport/leaktest"
)

// childVariable says what TestChild is to leave behind, in a process of its own.
const childVariable = "LEAKTEST_CHILD"

// child runs TestChild in a process whose TestMain is ours, and returns what it printed and whether it passed.
func child(t *testing.T, leaves string) (output string, passed bool) {
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestChild$")
	cmd.Env = append(os.Environ(), childVariable+"="+leaves)
	out, err := cmd.CombinedOutput()
	if _, ok := err.(*exec.ExitError); !ok {
		require.NoError(t, err)
	}
	return string(out), err == nil
}

// TestChild is a package's tests as their author wrote them, with Transports of which no check is told.
func TestChild(t *testing.T) {
	leaves := os.Getenv(childVariable)
	if leaves == "" {
		t.Skip("it is for the tests of VerifyTestMain")
	}
	server := serve(t, bytesOf, false)
	switch leaves {
	case "leaks":
		for range 2 {
			client := &http.Client{Transport: transport.New()}
			neverClosed(client, server.URL+"/10")
			require.NoError(t, halfRead(client, server.URL+"/100000"))
		}
		server.CloseClientConnections()
	case "an idle connection":
		get(t, &http.Client{Transport: transport.New()}, server.URL+"/10")
	case "a leak in a bubble":
		synctest.Test(t, leakInABubble)
	case "a leak that was told":
		d := &double{TB: t}
		neverClosed(leaktest.NewClient(d), server.URL+"/10")
		assert.Contains(t, d.finish(), "1 response body leaked")
	case "a failure":
		neverClosed(leaktest.NewClient(&double{TB: t}), server.URL+"/10")
		t.Error("failed")
	default:
		t.Fatal(leaves)
	}
}

func leakInABubble(t *testing.T) {
	var n memnet.Network
	l, err := n.Listen("a.example:80")
	require.NoError(t, err)
	server := &http.Server{Handler: http.HandlerFunc(bytesOf)}
	go func() { _ = server.Serve(l) }()
	tr := transport.New()
	tr.DialContext = n.DialContext
	neverClosed(&http.Client{Transport: tr}, "http://a.example/10")
	require.NoError(t, tr.Close())
	require.NoError(t, server.Close())
}

// A package fails for what its tests left, whichever Transport it was; what ends by itself, or was told, is nothing.
func TestVerifyTestMain(t *testing.T) {
	output, passed := child(t, "leaks")
	assert.False(t, passed)
	assert.True(t, strings.HasPrefix(output, "PASS\nleaktest: 4 response bodies leaked\n\n2 times, the last: GET http://"), output)
	assert.Contains(t, output, "careless_test.go:13: leaktest_test.neverClosed")
	assert.Contains(t, output, "careless_test.go:20: leaktest_test.halfRead")

	output, passed = child(t, "a leak in a bubble")
	assert.False(t, passed)
	assert.True(t, strings.HasPrefix(output, "PASS\nleaktest: 1 response body leaked\n\nGET http://a.example/10, 0 of 10 bytes read\n\tneither closed nor read to its end: small enough"), output)

	for _, leaves := range []string{"an idle connection", "a leak that was told"} {
		output, passed = child(t, leaves)
		assert.True(t, passed, output)
		assert.Equal(t, "PASS\n", output)
	}

	output, passed = child(t, "a failure")
	assert.False(t, passed)
	assert.NotContains(t, output, "leaktest: ")
}

// A run is a testing.M that passes or fails.
type run func() int

func (r run) Run() int { return r() }

// goleak may be within as well: its exit code is passed on.
func TestGoleakWithin(t *testing.T) {
	for _, want := range []int{0, 3} {
		within := run(func() (code int) {
			goleak.VerifyTestMain(run(func() int { return want }), goleak.Cleanup(func(c int) { code = c }), goleak.IgnoreCurrent())
			return code
		})
		assert.Equal(t, want, leaktest.Wrap(within).Run())
	}
}
