package leaktest_test

import (
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/internal/memnet"
	"github.com/watertight-go/watertight/transport/leaktest"
)

// A double is a test whose errors are kept, and whose cleanups run when finish is called.
type double struct {
	testing.TB
	errors   []string
	cleanups []func()
}

func (d *double) Error(args ...any)  { d.errors = append(d.errors, fmt.Sprint(args...)) }
func (d *double) Cleanup(f func())   { d.cleanups = append(d.cleanups, f) }
func (d *double) Setenv(k, v string) { d.TB.Setenv(k, v) }
func (d *double) Fatal(args ...any)  { d.Error(args...); runtime.Goexit() }
func (d *double) finish() (report string) {
	for len(d.cleanups) > 0 {
		last := len(d.cleanups) - 1
		f := d.cleanups[last]
		d.cleanups = d.cleanups[:last]
		f()
	}
	return strings.Join(d.errors, "\n")
}

// bytesOf answers "/n" with n bytes, after a Flush if the query says so, so that the head comes first; "/hang" with 20,000 bytes
// and no end.
func bytesOf(w http.ResponseWriter, r *http.Request) {
	var n int
	_, _ = fmt.Sscanf(r.URL.Path, "/%d", &n)
	switch {
	case r.URL.Path == "/hang":
		_, _ = io.WriteString(w, strings.Repeat("a", 20000))
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		return
	case r.URL.Path == "/silent":
		<-r.Context().Done()
		return
	case r.URL.Query().Has("length"):
		w.Header().Set("Content-Length", fmt.Sprint(n))
	}
	for range n / 10 {
		if _, err := io.WriteString(w, "123456789\n"); err != nil {
			return
		}
	}
}

// bubble runs a test in a bubble, with a client for a server in memory whose test ends when finish is called.
func bubble(t *testing.T, tell func(t *testing.T, client *http.Client, finish func() (report string))) {
	synctest.Test(t, func(t *testing.T) {
		var n memnet.Network
		l, err := n.Listen("a.example:80")
		require.NoError(t, err)
		server := &http.Server{Handler: http.HandlerFunc(bytesOf)}
		go func() { _ = server.Serve(l) }()
		synctest.Wait()
		d := &double{TB: t}
		tr := leaktest.NewTransport(d)
		tr.DialContext = n.DialContext
		tell(t, &http.Client{Transport: tr}, d.finish)
		require.Empty(t, d.cleanups, "finish was not called")
		assert.Zero(t, tr.Stats().Open)
		require.NoError(t, server.Close())
		synctest.Wait()
		assert.Zero(t, n.Open(), "ends of connections")
	})
}

var update = flag.Bool("update", false, "write the golden files")

var (
	age   = regexp.MustCompile(`, [0-9.]+m?s old`)
	port  = regexp.MustCompile(`127\.0\.0\.1:\d+`)
	outer = regexp.MustCompile(`\n\tDIR/[a-z]*_test.go:\d+: leaktest_test\.(Test|bubble).*`)
)

// outer frames are the tests themselves, in whose files lines come and go.
// normal makes paths and what the system chose the same everywhere.
func normal(t *testing.T, report string) string {
	dir, err := os.Getwd()
	require.NoError(t, err)
	report = strings.ReplaceAll(report, filepath.ToSlash(dir), "DIR")
	return port.ReplaceAllString(outer.ReplaceAllString(report, ""), "127.0.0.1:PORT")
}

// golden compares a report with what is to be said, word for word.
func golden(t *testing.T, name, report string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	report = normal(t, report) + "\n"
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(report), 0o600))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, string(want), report)
}

// within waits until a condition holds. It asks in the test's own goroutine, which a check leaves out of those that may still
// read.
func within(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); time.Sleep(time.Millisecond) {
		require.True(t, time.Now().Before(end), what)
	}
}
