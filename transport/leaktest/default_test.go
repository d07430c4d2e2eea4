package leaktest_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/transport"
	"github.com/watertight-go/watertight/transport/leaktest"
)

// For the length of a test http.DefaultTransport is another *http.Transport, whose bodies are looked after; then it is what it was.
func TestVerifyDefault(t *testing.T) {
	server := serve(t, bytesOf, false)
	before := http.DefaultTransport
	d := &double{TB: t}
	leaktest.VerifyDefault(d)
	during, ok := http.DefaultTransport.(*http.Transport)
	require.True(t, ok)
	assert.NotSame(t, before, during)
	assert.Equal(t, before.(*http.Transport).MaxIdleConns, during.MaxIdleConns)
	resp, err := http.Get(server.URL + "/10")
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	neverClosed(http.DefaultClient, server.URL+"/10")
	require.NoError(t, halfRead(&http.Client{}, server.URL+"/1000000"))
	report := d.finish()
	assert.Same(t, before, http.DefaultTransport)
	assert.Contains(t, report, "2 response bodies leaked")
	assert.Contains(t, report, "careless_test.go:13: leaktest_test.neverClosed")
	assert.Contains(t, report, "careless_test.go:20: leaktest_test.halfRead")
}

// It may be called again within, and in a test after.
func TestVerifyDefaultAgain(t *testing.T) {
	server := serve(t, bytesOf, false)
	outer := &double{TB: t}
	leaktest.VerifyDefault(outer)
	during := http.DefaultTransport
	t.Run("within", func(t *testing.T) {
		inner := &double{TB: t}
		leaktest.VerifyDefault(inner)
		neverClosed(http.DefaultClient, server.URL+"/10")
		assert.Contains(t, inner.finish(), "1 response body leaked")
	})
	assert.Same(t, during, http.DefaultTransport)
	assert.Empty(t, outer.finish())
}

// Where the program has put one of ours in its place, that is what it has in the test.
func TestVerifyDefaultOverOurs(t *testing.T) {
	server := serve(t, bytesOf, false)
	before := http.DefaultTransport
	defer func() { http.DefaultTransport = before }()
	own := transport.New()
	own.MaxConnsPerHost = 7
	http.DefaultTransport = own
	d := &double{TB: t}
	leaktest.VerifyDefault(d)
	during, ok := http.DefaultTransport.(*transport.Transport)
	require.True(t, ok)
	assert.Equal(t, 7, during.MaxConnsPerHost)
	neverClosed(http.DefaultClient, server.URL+"/10")
	assert.Contains(t, d.finish(), "1 response body leaked")
	assert.Same(t, own, http.DefaultTransport)
}

type other struct{ http.RoundTripper }

// In something else nothing can be installed: the test fails at once, and says so.
func TestVerifyDefaultOverOthers(t *testing.T) {
	before := http.DefaultTransport
	defer func() { http.DefaultTransport = before }()
	http.DefaultTransport = other{}
	d := &double{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		leaktest.VerifyDefault(d)
	}()
	<-done
	assert.Equal(t, []string{"leaktest: VerifyDefault: http.DefaultTransport is a leaktest_test.other, in which nothing can be installed: it must be an *http.Transport"}, d.errors)
	assert.Equal(t, other{}, http.DefaultTransport)
}

// A parallel test cannot have http.DefaultTransport to itself: it is refused and told why, before T.Parallel and after.
func TestVerifyDefaultRefusesParallelTests(t *testing.T) {
	before := http.DefaultTransport
	t.Run("parallel", func(t *testing.T) {
		t.Parallel()
		why := "leaktest: VerifyDefault in a parallel test: all tests share http.DefaultTransport, so their leaks cannot be told apart; give the code under test the client of leaktest.NewClient"
		assert.PanicsWithValue(t, why, func() { leaktest.VerifyDefault(t) })
		t.Run("within", func(t *testing.T) {
			assert.PanicsWithValue(t, why, func() { leaktest.VerifyDefault(t) })
		})
		assert.Same(t, before, http.DefaultTransport)
	})
	t.Run("parallel later", func(t *testing.T) {
		leaktest.VerifyDefault(t)
		assert.Panics(t, t.Parallel)
	})
	assert.Same(t, before, http.DefaultTransport)
}
