package transport_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/transport"
)

// collect runs the collector until cond holds.
func collect(t testing.TB, what string, cond func() bool) {
	t.Helper()
	require.Eventually(t, func() bool {
		runtime.GC()
		return cond()
	}, 20*time.Second, time.Millisecond, what)
}

func (s *story) eventuallyCollected(what string, cond func() bool) {
	s.Helper()
	collect(s, what, cond)
}

// leaks collects the leaks of the story's transport, which must not have been used.
func (s *story) leaks() func() []transport.Leak {
	var mu sync.Mutex
	var got []transport.Leak
	s.ours.OnLeak = func(l transport.Leak) {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, l)
	}
	return func() []transport.Leak {
		mu.Lock()
		defer mu.Unlock()
		return append([]transport.Leak(nil), got...)
	}
}

// A small body that is neither read nor closed holds nothing: the next request has its connection, without any help
// of the collector.
func TestSmallBodiesAreDetached(t *testing.T) {
	ours(t, sized, func(s *story) {
		var held []*http.Response
		for range 50 {
			held = append(held, s.get("/300?length"))
			if s.http2 { // the frame with the body may come after the one with the head
				s.eventually("arrived", func() bool { return s.ours.Stats().Leased == 0 })
			}
		}
		s.wantDials(1)
		assert.Zero(s, s.ours.Stats().Leased)
		assert.Empty(s, s.ours.OpenBodies())
		runtime.KeepAlive(held)
	})
}

// Bodies are dropped in many ways: unread, half read, behind wrappers. Each gives its connection back, and is
// reported once.
func TestDroppedBodies(t *testing.T) {
	handler := func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/gzip") {
			w.Header().Set("Content-Encoding", "gzip")
			zw := gzip.NewWriter(w)
			_, _ = zw.Write(bytes.Repeat(pattern(1000), 1000))
			_ = zw.Flush()
			w.(http.Flusher).Flush()
			<-r.Context().Done()
			return
		}
		sized(w, r)
	}
	ours(t, handler, func(s *story) {
		leaks := s.leaks()
		client := &http.Client{Transport: s.rt, Timeout: 3 * time.Second}
		drops := []func(){
			func() { _ = s.get("/1000000") },
			func() { _, _ = io.ReadFull(s.get("/1000000").Body, make([]byte, 10000)) },
			func() {
				body := s.get("/1000000").Body
				read := make(chan struct{})
				go func() { // it gives up, and nobody closes
					defer close(read)
					_, _ = io.CopyN(io.Discard, body, 50000)
				}()
				<-read
			},
			func() {
				resp, err := (&http.Client{Transport: s.rt}).Get(s.server.URL + "/1000000")
				if assert.NoError(s, err) {
					_ = struct{ io.Reader }{bufio.NewReader(resp.Body)}
				}
			},
			func() { _, _ = bufio.NewReader(s.get("/1000000").Body).ReadByte() },
			func() { _, _ = io.ReadFull(s.get("/gzip").Body, make([]byte, 10000)) },
			func() {
				resp, err := client.Get(s.server.URL + "/1000000")
				if assert.NoError(s, err) {
					_, _ = io.TeeReader(resp.Body, io.Discard).Read(make([]byte, 10))
				}
			},
		}
		for i, drop := range drops {
			drop()
			s.eventuallyCollected("reported", func() bool { return len(leaks()) == i+1 })
			assert.Equal(s, transport.Dropped, leaks()[i].Cause)
			s.eventually("no lease", func() bool { return s.ours.Stats().Leased == 0 }) // a stream's reset may be still to be written
		}
		if s.http2 {
			s.wantDials(1) // they were streams of one connection
			return
		}
		assert.EqualValues(s, len(drops), s.ours.Stats().Closes[transport.ReasonLeaked])
	})
}

// The report names the request, without query and credentials, and from an origin's second leak on where it was made:
// in the caller's file, not in ours.
func TestLeakReport(t *testing.T) {
	ours(t, sized, func(s *story) {
		leaks := s.leaks()
		for i := range 2 {
			func() {
				u, err := url.Parse(s.server.URL)
				require.NoError(s, err)
				u.User, u.Path, u.RawQuery = url.UserPassword("me", "secret"), "/1000000", "token=secret"
				req, err := http.NewRequestWithContext(s.Context(), http.MethodGet, u.String(), nil)
				require.NoError(s, err)
				resp, err := (&http.Client{Transport: s.rt}).Do(req)
				require.NoError(s, err)
				_, err = io.ReadFull(resp.Body, make([]byte, 12345))
				require.NoError(s, err)
			}()
			s.eventuallyCollected("reported", func() bool { return len(leaks()) == i+1 })
		}
		first, second := leaks()[0], leaks()[1]
		assert.Equal(s, http.MethodGet, first.Method)
		assert.Equal(s, s.server.URL+"/1000000", first.URL)
		assert.EqualValues(s, 12345, first.BytesRead)
		assert.Positive(s, first.Age)
		assert.Empty(s, first.Stack)
		line, _, _ := strings.Cut(second.Stack, "\n")
		assert.Contains(s, line, "TestLeakReport")
		assert.Contains(s, line, "guard_test.go:")
	})
}

// By default a leak is one warning, and further ones of the same origin are counted for the next.
func TestLeakWarning(t *testing.T) {
	ours(t, sized, func(s *story) {
		var out lockedBuffer
		s.ours.Logger = slog.New(slog.NewTextHandler(&out, nil))
		for i := range 3 {
			_ = s.get("/1000000?token=secret")
			s.eventuallyCollected("taken back", func() bool { return s.ours.Stats().Leaks[transport.Dropped] == int64(i+1) })
		}
		// The first leak has no line to tell, the second has, the third has the same.
		s.eventually("logged", func() bool { return strings.Count(out.String(), "\n") == 2 })
		assert.Equal(s, 1, strings.Count(out.String(), "guard_test.go:"))
		assert.Contains(s, out.String(), "level=WARN")
		assert.Contains(s, out.String(), "cause=dropped")
		assert.NotContains(s, out.String(), "secret")
	})
}

// Each line of a program that leaks is named, however often another has leaked before; each once a minute.
func TestLeakWarningNamesEachLine(t *testing.T) {
	ours(t, sized, func(s *story) {
		var out lockedBuffer
		s.ours.Logger, s.ours.RecordStacks = slog.New(slog.NewTextHandler(&out, nil)), true
		one := func() { _ = s.get("/1000000") }
		other := func() { _ = s.get("/1000000") }
		for i, leak := range []func(){one, one, other, one, other} {
			leak()
			s.eventuallyCollected("taken back", func() bool { return s.ours.Stats().Leaks[transport.Dropped] == int64(i+1) })
		}
		s.eventually("logged", func() bool { return strings.Count(out.String(), "\n") == 2 })
		line := regexp.MustCompile(`guard_test\.go:\d+`) // the function that makes the requests is the same
		first, second, _ := strings.Cut(out.String(), "\n")
		assert.NotEqual(s, line.FindString(first), line.FindString(second))
		assert.Contains(s, second, "suppressed=1\n")
	})
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// A body that is being read is never taken, also where only its last Read, which blocks, still knows of it.
func TestABlockedReadIsNoLeak(t *testing.T) {
	release := make(chan struct{})
	handler := func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write(pattern(20000))
		w.(http.Flusher).Flush()
		<-release
		_, _ = io.WriteString(w, "end")
	}
	s := newStory(t, handler, false, false)
	leaks := s.leaks()
	read := make(chan string)
	go func() {
		resp := s.get("/")
		_, _ = io.ReadFull(resp.Body, make([]byte, 20000))
		buf := make([]byte, 3)
		n, err := resp.Body.Read(buf) // the last use of resp
		if err != nil && err != io.EOF {
			n = copy(buf, "err")
		}
		read <- string(buf[:n])
	}()
	s.eventually("leased", func() bool { return s.ours.Stats().Bodies == 1 })
	for range 20 {
		runtime.GC()
	}
	assert.Empty(t, leaks())
	close(release)
	assert.Equal(t, "end", <-read)
}

// Close reads what has arrived, so that a body whose end a decoder does not read keeps its connection.
func TestCloseDrainsWhatArrived(t *testing.T) {
	handler := func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"a": "`+strings.Repeat("b", 20000)+`"}`)
		w.(http.Flusher).Flush()
	}
	ours(t, handler, func(s *story) {
		for range 5 {
			resp := s.get("/")
			var v map[string]string
			require.NoError(s, json.NewDecoder(resp.Body).Decode(&v))
			require.NoError(s, resp.Body.Close())
			s.eventually("drained", func() bool { return s.ours.Stats().Leased == 0 })
		}
		s.wantDials(1)
	})
}

// Too much to drain, or what does not come in time, costs the connection, and Close does not wait for it.
func TestCloseDoesNotDrainForEver(t *testing.T) {
	handler := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/large" {
			w.Header().Set("Content-Length", "100000000")
		}
		_, _ = w.Write(pattern(20000))
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}
	ours1(t, handler, func(s *story) {
		for i, path := range []string{"/large", "/stalled"} {
			resp := s.get(path)
			require.NoError(s, resp.Body.Close())
			s.eventually("closed", func() bool { return s.ours.Stats().Closes[transport.ReasonUnread] == int64(i+1) })
			assert.Zero(s, s.ours.Stats().Open)
		}
	})
}

// Close during a Read ends the Read.
func TestCloseEndsARead(t *testing.T) {
	ours1(t, hang, func(s *story) {
		resp := s.get("/body")
		_, err := io.ReadFull(resp.Body, make([]byte, 20000))
		require.NoError(s, err)
		ended := make(chan error)
		go func() {
			_, err := resp.Body.Read(make([]byte, 1))
			ended <- err
		}()
		for resp.Body.Close(); ; { // whether it comes before or during the Read
			select {
			case err := <-ended:
				assert.ErrorIs(s, err, http.ErrBodyReadAfterClose)
				s.eventually("closed", func() bool { return s.ours.Stats().Open == 0 })
				return
			case <-time.After(10 * time.Second):
				require.FailNow(s, "the Read goes on")
			}
		}
	})
}

// A cancelled request whose body nobody reads is closed at once.
func TestCancelledBodyIsClosedWithoutARead(t *testing.T) {
	ours1(t, hang, func(s *story) {
		req := s.request(http.MethodGet, "/body", nil)
		ctx, cancel := context.WithCancel(s.Context())
		resp := s.send(req.WithContext(ctx))
		cancel()
		s.eventually("closed", func() bool { return s.ours.Stats().Closes[transport.ReasonCancelled] == 1 })
		assert.Zero(s, s.ours.Stats().Open)
		_, err := resp.Body.Read(make([]byte, 1))
		assert.Error(s, err)
		runtime.KeepAlive(resp)
	})
}

// An OnLeak that panics is logged, and harms nobody: the connection is back, and the next leak is reported.
func TestPanickingOnLeak(t *testing.T) {
	s := newStory(t, sized, false, false)
	calls := make(chan struct{}, 2)
	s.ours.Logger = discardLogger
	s.ours.OnLeak = func(transport.Leak) {
		calls <- struct{}{}
		panic(errors.New("mine"))
	}
	for i := range 2 {
		_ = s.get("/1000000")
		s.eventuallyCollected("reported", func() bool { return len(calls) == i+1 })
	}
	assert.Zero(s, s.ours.Stats().Leased)
}
