package transport_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/transport"
)

// Whatever goes wrong is the caller's error and no line in the log, at whatever level; a leak is one, with the same attributes each time.
func TestSilentButForLeaks(t *testing.T) {
	handler := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/abort" {
			panic(http.ErrAbortHandler)
		}
		sized(w, r)
	}
	ours(t, handler, func(s *story) {
		var out lockedBuffer
		s.ours.Logger = slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug - 100}))
		s.read(s.get("/10"))
		_, err := s.rt.RoundTrip(s.request(http.MethodPost, "/abort", nil))
		require.Error(s, err)
		_, err = (&http.Client{Transport: s.rt}).Get("http://127.0.0.1:1/")
		require.Error(s, err)
		ctx, cancel := context.WithCancel(s.Context())
		resp := s.send(s.request(http.MethodGet, "/1000000", nil).WithContext(ctx))
		cancel()
		require.NoError(s, resp.Body.Close())
		require.NoError(s, s.get("/10000000").Body.Close())
		s.read(s.get("/10"))
		s.server.CloseClientConnections()
		s.eventually("closed", func() bool { return s.ours.Stats().Open == 0 })
		assert.Empty(s, out.String())

		_ = s.get("/1000000?token=secret")
		s.eventuallyCollected("taken back", func() bool { return s.ours.Stats().Leaks[transport.Dropped] == 1 })
		s.eventually("logged", func() bool { return out.String() != "" })
		require.NoError(s, s.ours.Close())
		require.Equal(s, 1, strings.Count(out.String(), "\n"))
		var line map[string]any
		require.NoError(s, json.Unmarshal([]byte(out.String()), &line))
		assert.Equal(s, "WARN", line["level"])
		assert.Equal(s, "transport: response body was neither closed nor read to its end", line["msg"])
		assert.Equal(s, s.server.URL+"/1000000", line["url"])
		assert.Equal(s, []string{"age", "bytes_read", "cause", "level", "method", "msg", "opened_at", "suppressed", "time", "url"}, slices.Sorted(maps.Keys(line)))
	})
}

// A panic in OnLeak is an error in the log, and no end of the program.
func TestPanicInOnLeakIsLogged(t *testing.T) {
	ours(t, sized, func(s *story) {
		var out lockedBuffer
		s.ours.Logger = slog.New(slog.NewJSONHandler(&out, nil))
		s.ours.OnLeak = func(transport.Leak) { panic("a mistake") }
		_ = s.get("/1000000")
		s.eventuallyCollected("logged", func() bool { return strings.Contains(out.String(), "\n") })
		var line map[string]any
		require.NoError(s, json.Unmarshal([]byte(out.String()), &line))
		assert.Equal(s, "ERROR", line["level"])
		assert.Equal(s, "a mistake", line["panic"])
	})
}

// A faultyHandler panics, as one does whose own lock or buffer is nil.
type faultyHandler struct {
	slog.Handler
	lines chan string
}

func (h faultyHandler) Handle(_ context.Context, r slog.Record) error {
	h.lines <- r.Message
	panic("a mistake")
}

// Nor is a panic in Logger, whichever line it is asked to write.
func TestPanicInLogger(t *testing.T) {
	ours(t, sized, func(s *story) {
		lines := make(chan string, 1)
		s.ours.Logger = slog.New(faultyHandler{slog.NewTextHandler(io.Discard, nil), lines})
		for line, onLeak := range map[string]func(transport.Leak){
			"response body was neither closed nor read to its end": nil,
			"OnLeak panicked": func(transport.Leak) { panic("another") },
		} {
			tr := s.ours.Clone()
			tr.OnLeak = onLeak
			s.rt = tr
			_ = s.get("/1000000")
			s.eventuallyCollected("logged", func() bool { return len(lines) == 1 })
			assert.Equal(s, "transport: "+line, <-lines)
			s.read(s.get("/10"))
			assert.NoError(s, tr.Close())
		}
	})
}

// A RedactURL may change what it is given, as the shortest one does: it is a copy each time.
func TestRedactURLOwnsItsArgument(t *testing.T) {
	ours(t, sized, func(s *story) {
		s.ours.RedactURL = func(u *url.URL) string {
			u.Host, u.RawQuery = "h"+u.Host, ""
			return u.String()
		}
		resp := s.get("/1000000?token=secret")
		for range 2 {
			require.Len(s, s.ours.OpenBodies(), 1)
			assert.Equal(s, strings.Replace(s.server.URL, "//", "//h", 1)+"/1000000", s.ours.OpenBodies()[0].URL)
		}
		assert.Len(s, s.read(resp), 1000000)
	})
}

// A panic in RedactURL is no end of the program either, wherever it is asked.
func TestPanicInRedactURL(t *testing.T) {
	ours(t, sized, func(s *story) {
		s.ours.RedactURL = func(*url.URL) string { panic("a mistake") }
		leaks := leaksOf(s.ours)
		resp := s.get("/1000000?token=secret")
		assert.Equal(s, s.server.URL, s.ours.OpenBodies()[0].URL)
		s.read(resp)
		_ = s.get("/1000000?token=secret")
		s.eventuallyCollected("reported", func() bool { return len(leaks) == 1 })
		assert.Equal(s, s.server.URL, (<-leaks).URL)
	})
}
