package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// The program starts itself again as server and clients; in a test that is the test's binary.
func TestMain(m *testing.M) {
	if os.Getenv(roleVariable) != "" {
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

// The ordinary transport leaks, ours does not, and the exit status and the JSON say so.
func TestOursLeavesNothing(t *testing.T) {
	t.Parallel()
	var out, log bytes.Buffer
	status := run([]string{"-n", "40", "-c", "8", "-json"}, &out, &log)
	assert.Equal(t, exitClean, status, "%s\n%s", &out, &log)
	var results []result
	require.NoError(t, json.Unmarshal(out.Bytes(), &results))
	require.Len(t, results, 2)
	std, ours := results[0], results[1]
	assert.True(t, std.leaks())
	assert.Positive(t, std.Goroutines)
	assert.False(t, ours.leaks())
	assert.Zero(t, ours.Goroutines)
	assert.Empty(t, std.Errors)
	assert.Empty(t, ours.Errors)
	require.NotEmpty(t, ours.LeakedAt)
	assert.Contains(t, ours.LeakedAt[0].Line, "forgetLarge")
	assert.EqualValues(t, ours.LeakedAt[0].Count, ours.Leaks)
	if runtime.GOOS == "linux" {
		assert.Positive(t, std.Sockets["CLOSE_WAIT"])
		assert.Empty(t, ours.Sockets)
	}
}

// Where the sockets cannot be read, nothing is said of their number.
func TestVerdictWithoutSockets(t *testing.T) {
	said := verdict([]result{{Transport: "one", figures: figures{Goroutines: 160}}, {Transport: "other"}})
	assert.Contains(t, said, "one leaks: it still holds 160 goroutines.")
	assert.Contains(t, said, "other leaves no goroutine.")
}

// Against somebody else's server the table is printed, with the verdict.
func TestURL(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 10000)) }))
	defer server.Close()
	var out, log bytes.Buffer
	assert.Equal(t, exitClean, run([]string{"-n", "10", "-c", "2", "-url", server.URL}, &out, &log), "%s\n%s", &out, &log)
	assert.Contains(t, out.String(), server.URL)
	assert.Contains(t, out.String(), "transport.Transport leaves no")
}

// A slip on the command line is one clear line and status 2.
func TestUsage(t *testing.T) {
	for _, args := range [][]string{
		{"-x"}, {"-n", "0"}, {"-n", "many"}, {"-c", "-1"}, {"more"}, {"-url", "nonsense"}, {"-url", "http://127.0.0.1:1/"},
	} {
		var out, log bytes.Buffer
		assert.Equal(t, exitUsage, run(args, &out, &log), "%q", args)
		assert.Empty(t, out.String())
		assert.Equal(t, 1, bytes.Count(log.Bytes(), []byte("\n")), "%q: %s", args, &log)
	}
	var out, log bytes.Buffer
	assert.Equal(t, exitClean, run([]string{"-h"}, &out, &log))
	assert.Contains(t, log.String(), "-url")
}
