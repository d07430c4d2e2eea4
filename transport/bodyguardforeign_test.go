package transport_test

import (
	"io"
	"log/slog"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/transport"
)

// A panickyCloser is a body whose Close panics, as one does that closes a channel which somebody else has closed.
type panickyCloser struct{ io.Reader }

func (panickyCloser) Close() error { panic("closed before") }

// A foreign body whose Close panics ends no process when the Guard closes it: its caller never did. The leak is reported all the
// same. The caller's own Close panics as it does without a Guard.
func TestGuardSurvivesAPanicInClose(t *testing.T) {
	for name, timeout := range map[string]time.Duration{"dropped": 0, "forgotten": time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			g, leaks := guarding(panickyCloser{strings.NewReader("hello")}, timeout)
			var log lockedBuffer
			g.Logger = slog.New(slog.NewTextHandler(&log, nil))
			resp := guarded(t, g)
			if timeout == 0 {
				resp = nil
			}
			collect(t, "reported", func() bool { return len(leaks) == 1 })
			assert.EqualValues(t, name, (<-leaks).Cause)
			assert.Contains(t, log.String(), `level=ERROR msg="transport: Close of a response body panicked" panic="closed before" stack=`)
			assert.Contains(t, log.String(), "panickyCloser.Close(")
			assert.Empty(t, g.OpenBodies())
			runtime.KeepAlive(resp)

			assert.Panics(t, func() { _ = guarded(t, g).Body.Close() })
		})
	}
}

// A panickyBody panics in Read.
type panickyBody struct{ *fakeBody }

func (panickyBody) Read([]byte) (int, error) { panic("in Read") }

// A Read that panicked is over: a body that is forgotten then is closed.
func TestGuardAfterAPanicInRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		body := panickyBody{newFakeBody()}
		g, leaks := guarding(body, time.Minute)
		resp := guarded(t, g)
		assert.Panics(t, func() { _, _ = resp.Body.Read(nil) })
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		require.Len(t, leaks, 1)
		assert.Equal(t, transport.Forgotten, (<-leaks).Cause)
		assert.EqualValues(t, 1, body.closes.Load())
	})
}

// A writable is a body that can be written to for reasons of its maker's, such as a file.
type writable struct {
	io.Reader
	io.Writer
	io.Closer
}

// Only the body of an upgrade or a CONNECT outlives what it reads, not whatever can be written to.
func TestGuardOfWritableBodies(t *testing.T) {
	for _, test := range []struct {
		method string
		status int
		open   int // after its end was read
	}{
		{http.MethodGet, http.StatusOK, 0},
		{http.MethodGet, http.StatusSwitchingProtocols, 1},
		{http.MethodConnect, http.StatusOK, 1},
		{http.MethodConnect, http.StatusForbidden, 0},
	} {
		g := &transport.Guard{Base: roundTripFunc(func(req *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: test.status, Request: req, Body: writable{strings.NewReader("hello"), io.Discard, io.NopCloser(nil)}}, nil
		})}
		req, err := http.NewRequestWithContext(t.Context(), test.method, "http://a.example", nil)
		require.NoError(t, err)
		resp, err := g.RoundTrip(req)
		require.NoError(t, err)
		_, err = io.WriteString(resp.Body.(io.Writer), "hello")
		require.NoError(t, err)
		b, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		assert.Equal(t, "hello", string(b))
		assert.Len(t, g.OpenBodies(), test.open, "%s %d", test.method, test.status)
		require.NoError(t, resp.Body.Close())
		assert.Empty(t, g.OpenBodies())
	}
}
