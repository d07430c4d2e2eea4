package transport_test

import (
	"io"
	"log/slog"
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
			assert.Contains(t, log.String(), `level=ERROR msg="transport: Close of a response body panicked" panic="closed before"`)
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
