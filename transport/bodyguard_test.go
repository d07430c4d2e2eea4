package transport_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/transport"
)

// A roundTripFunc is a base that makes its responses itself.
type roundTripFunc func(*http.Request) (*http.Response, error)

func (f roundTripFunc) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// A fakeBody counts how often it is closed. Its Read waits for a string.
type fakeBody struct {
	chunks chan string
	closes atomic.Int32
}

func newFakeBody() *fakeBody { return &fakeBody{chunks: make(chan string, 1)} }

func (b *fakeBody) Read(p []byte) (int, error) {
	s, ok := <-b.chunks
	if !ok {
		return 0, io.EOF
	}
	return copy(p, s), nil
}

func (b *fakeBody) Close() error {
	b.closes.Add(1)
	return nil
}

// guarding returns a Guard in front of body, and its leaks.
func guarding(body io.ReadCloser, timeout time.Duration) (*transport.Guard, chan transport.Leak) {
	leaks := make(chan transport.Leak, 8)
	base := func(req *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusOK, Body: body, Request: req}, nil
	}
	return &transport.Guard{
		Base:        roundTripFunc(base),
		LeakTimeout: timeout,
		OnLeak:      func(l transport.Leak) { leaks <- l },
	}, leaks
}

func guarded(t *testing.T, g *transport.Guard) *http.Response {
	t.Helper()
	resp, err := g.RoundTrip(httptest.NewRequest(http.MethodGet, "http://a.example/path?token=secret", nil))
	require.NoError(t, err)
	return resp
}

// A dropped body is closed once and reported once; one that is open is listed, and one that was closed or read to its
// end is neither listed nor reported.
func TestGuardClosesDroppedBodies(t *testing.T) {
	body := newFakeBody()
	g, leaks := guarding(body, 0)
	for _, end := range []func(*http.Response){
		func(resp *http.Response) { assert.NoError(t, resp.Body.Close()) },
		func(resp *http.Response) {
			close(body.chunks)
			_, err := io.ReadAll(resp.Body)
			assert.NoError(t, err)
		},
	} {
		resp := guarded(t, g)
		assert.Len(t, g.OpenBodies(), 1)
		end(resp)
		assert.Empty(t, g.OpenBodies())
	}
	before := body.closes.Load()
	guarded(t, g)
	collect(t, "reported", func() bool { return len(leaks) > 0 })
	for range 5 {
		runtime.GC()
	}
	assert.Len(t, leaks, 1, "the others had ended")
	l := <-leaks
	assert.Equal(t, transport.Dropped, l.Cause)
	assert.Equal(t, "http://a.example/path", l.URL)
	assert.Equal(t, before+1, body.closes.Load())
	assert.Empty(t, g.OpenBodies())
}

// A forgotten body is closed and reported after LeakTimeout; what comes late is told so, and its Close does no harm.
func TestGuardLeakTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		body := newFakeBody()
		g, leaks := guarding(body, time.Minute)
		g.RecordStacks = true
		resp := guarded(t, g)
		time.Sleep(time.Minute - time.Nanosecond)
		synctest.Wait()
		assert.Empty(t, leaks)
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		assert.Equal(t, transport.Forgotten, (<-leaks).Cause)

		_, err := resp.Body.Read(make([]byte, 1))
		var re *transport.ReclaimedError
		require.ErrorAs(t, err, &re)
		assert.Equal(t, transport.Forgotten, re.Cause)
		assert.ErrorIs(t, err, http.ErrBodyReadAfterClose)
		var ne net.Error
		require.ErrorAs(t, err, &ne)
		assert.True(t, ne.Timeout())
		for _, part := range []string{"GET http://a.example/path ", "LeakTimeout is 1m0s", "transport_test.guarded"} {
			assert.Contains(t, err.Error(), part)
		}
		assert.NotContains(t, err.Error(), "secret")
		assert.NoError(t, resp.Body.Close())
		assert.EqualValues(t, 1, body.closes.Load())
	})
}

// Only time without a Read counts: neither a Read that waits for an hour nor many with pauses below LeakTimeout are a
// leak.
func TestGuardLeakTimeoutCountsIdleTimeOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		body := newFakeBody()
		g, leaks := guarding(body, time.Minute)
		resp := guarded(t, g)
		read := func() {
			_, err := resp.Body.Read(make([]byte, 8))
			require.NoError(t, err)
		}
		time.AfterFunc(time.Hour, func() { body.chunks <- "late" })
		read()
		for range 10 {
			time.Sleep(50 * time.Second)
			body.chunks <- "soon"
			read()
		}
		time.Sleep(time.Minute - time.Nanosecond)
		synctest.Wait()
		assert.Empty(t, leaks)
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		assert.Len(t, leaks, 1)
		runtime.KeepAlive(resp)
	})
}

// Whoever waits for a slow Writer to take what was read has not forgotten the body.
func TestGuardSparesASlowWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		body := newFakeBody()
		g, leaks := guarding(body, time.Minute)
		resp := guarded(t, g)
		go func() {
			for range 3 {
				body.chunks <- "chunk"
			}
			close(body.chunks)
		}()
		n, err := io.Copy(slowWriter{}, resp.Body)
		require.NoError(t, err)
		assert.EqualValues(t, 3*len("chunk"), n)
		assert.Empty(t, leaks)

		forgotten := guarded(t, g)
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.Len(t, leaks, 1)
		_, err = io.Copy(slowWriter{}, forgotten.Body)
		assert.ErrorIs(t, err, http.ErrBodyReadAfterClose)
	})
}

// Close and the end of the body stop the clock.
func TestGuardLeakTimeoutEndsWithTheBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		body := newFakeBody()
		close(body.chunks)
		g, leaks := guarding(body, time.Minute)
		closed, read := guarded(t, g), guarded(t, g)
		require.NoError(t, closed.Body.Close())
		_, err := io.ReadAll(read.Body)
		require.NoError(t, err)
		time.Sleep(time.Hour)
		synctest.Wait()
		assert.Empty(t, leaks)
		assert.EqualValues(t, 1, body.closes.Load())
		_, err = read.Body.Read(make([]byte, 1))
		assert.Equal(t, io.EOF, err)
		runtime.KeepAlive(closed)
	})
}

// A body whose last use is a Read that blocks is not taken for dropped.
func TestGuardSparesABlockedRead(t *testing.T) {
	body := newFakeBody()
	g, leaks := guarding(body, 0)
	started, got := make(chan struct{}), make(chan string)
	go func() {
		resp, err := g.RoundTrip(httptest.NewRequest(http.MethodGet, "http://a.example", nil))
		close(started)
		if !assert.NoError(t, err) {
			return
		}
		buf := make([]byte, 8)
		n, _ := resp.Body.Read(buf) // the last use of resp
		got <- string(buf[:n])
	}()
	<-started
	for range 20 {
		runtime.GC()
	}
	assert.Empty(t, leaks)
	assert.Zero(t, body.closes.Load())
	body.chunks <- "end"
	assert.Equal(t, "end", <-got)
}

// Guards around net/http's transport and around ours find what is dropped, and both give their connection back.
func TestGuardAroundTransports(t *testing.T) {
	everywhere(t, sized, func(s *story) {
		leaks := make(chan transport.Leak, 1)
		g := &transport.Guard{Base: s.rt, OnLeak: func(l transport.Leak) { leaks <- l }}
		client := &http.Client{Transport: g}
		func() {
			resp, err := client.Get(s.server.URL + "/1000000")
			require.NoError(s, err)
			_, err = io.ReadFull(resp.Body, make([]byte, 10000))
			require.NoError(s, err)
		}()
		s.eventuallyCollected("reported", func() bool { return len(leaks) == 1 })
		assert.EqualValues(s, 10000, (<-leaks).BytesRead)
		resp, err := client.Get(s.server.URL + "/1000000")
		require.NoError(s, err)
		assert.Len(s, s.read(resp), 1000000)
		if s.ours != nil {
			assert.Zero(s, s.ours.Stats().Leased)
			assert.Empty(s, s.ours.Stats().Leaks, "the guard was first")
			client.CloseIdleConnections()
			assert.Zero(s, s.ours.Stats().Open)
		}
	})
}

// Trailers reach the caller's response at the end of the body, declared or not.
func TestGuardPassesTrailers(t *testing.T) {
	handler := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "Declared")
		_, _ = w.Write(pattern(50000))
		w.Header().Set("Declared", "a")
		w.Header().Set(http.TrailerPrefix+"Undeclared", "b")
	}
	undeclared := func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write(pattern(50000))
		w.Header().Set(http.TrailerPrefix+"Undeclared", "b")
	}
	for name, c := range map[string]struct {
		handler       http.HandlerFunc
		before, after http.Header
	}{
		"both":       {handler, http.Header{"Declared": nil}, http.Header{"Declared": {"a"}, "Undeclared": {"b"}}},
		"undeclared": {undeclared, nil, http.Header{"Undeclared": {"b"}}},
	} {
		t.Run(name, func(t *testing.T) {
			everywhere(t, c.handler, func(s *story) {
				resp, err := (&transport.Guard{Base: s.rt}).RoundTrip(s.request(http.MethodGet, "/", nil))
				require.NoError(s, err)
				assert.Equal(s, c.before, resp.Trailer)
				assert.Len(s, s.read(resp), 50000)
				assert.Equal(s, c.after, resp.Trailer)
			})
		})
	}
}

// upgradeEcho switches protocols, sends back what comes until its end, and says goodbye.
func upgradeEcho(w http.ResponseWriter, _ *http.Request) {
	c, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer c.Close()
	_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	_, _ = io.Copy(c, rw)
	_, _ = io.WriteString(c, " bye")
}

func (s *story) upgrade() *http.Request {
	req := s.request(http.MethodGet, "/", nil)
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "echo")
	return req
}

// The body of a 101 response can be written to and half-closed behind the guard. Dropped, it is closed, also after the
// peer's end was read.
func TestGuardOfAnUpgrade(t *testing.T) {
	everywhere1(t, upgradeEcho, func(s *story) {
		leaks := make(chan transport.Leak, 1)
		g := &transport.Guard{Base: s.rt, OnLeak: func(l transport.Leak) { leaks <- l }}
		func() {
			resp, err := g.RoundTrip(s.upgrade())
			require.NoError(s, err)
			require.Equal(s, http.StatusSwitchingProtocols, resp.StatusCode)
			rw, ok := resp.Body.(io.ReadWriteCloser)
			require.True(s, ok)
			_, err = io.WriteString(rw, "hello")
			require.NoError(s, err)
			require.NoError(s, resp.Body.(interface{ CloseWrite() error }).CloseWrite())
			b, err := io.ReadAll(rw)
			require.NoError(s, err)
			assert.Equal(s, "hello bye", string(b))
			assert.Len(s, g.OpenBodies(), 1, "the write side is open")
		}()
		s.eventuallyCollected("reported", func() bool { return len(leaks) == 1 })
		assert.Equal(s, transport.Dropped, (<-leaks).Cause)
		assert.Empty(s, g.OpenBodies())
	})
}

// A Write counts as use, as a Read does, and fails like it after a reclaim.
func TestGuardCountsWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer far.Close()
		g, leaks := guarding(near, time.Minute)
		w := guarded(t, g).Body.(io.Writer)
		for range 3 {
			time.Sleep(50 * time.Second)
			go func() {
				time.Sleep(time.Hour)
				_, _ = io.ReadFull(far, make([]byte, 5))
			}()
			_, err := io.WriteString(w, "hello")
			require.NoError(t, err)
		}
		assert.Empty(t, leaks)
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.Len(t, leaks, 1)
		_, err := io.WriteString(w, "late")
		var re *transport.ReclaimedError
		assert.ErrorAs(t, err, &re)
	})
}

// What is no open body passes unchanged, as does an error, and the caller's request is given to Base as it is.
func TestGuardPassesTheRest(t *testing.T) {
	req := httptest.NewRequest(http.MethodGet, "http://a.example", nil)
	failure := errors.New("failure")
	empty := &http.Response{Body: http.NoBody}
	for _, want := range []struct {
		resp *http.Response
		err  error
	}{{nil, failure}, {empty, nil}, {&http.Response{}, nil}} {
		g := &transport.Guard{Base: roundTripFunc(func(got *http.Request) (*http.Response, error) {
			assert.Same(t, req, got)
			return want.resp, want.err
		})}
		resp, err := g.RoundTrip(req)
		assert.Same(t, want.resp, resp)
		assert.Equal(t, want.err, err)
		assert.Empty(t, g.OpenBodies())
		g.CloseIdleConnections() // Base cannot
	}
}

// A wrapper is one as Kubernetes has them: it says what is within, and cannot close idle connections itself.
type wrapper struct{ within http.RoundTripper }

func (w wrapper) RoundTrip(req *http.Request) (*http.Response, error) { return w.within.RoundTrip(req) }
func (w wrapper) WrappedRoundTripper() http.RoundTripper              { return w.within }

// A Guard, which has the method, does not keep CloseIdleConnections from who is behind wrappers.
func TestGuardClosesIdleConnectionsBehindWrappers(t *testing.T) {
	ours1(t, sized, func(s *story) {
		g := &transport.Guard{Base: wrapper{wrapper{s.rt}}}
		s.read(mustGet(t, g, s.server.URL+"/10"))
		assert.Equal(s, 1, s.ours.Stats().Idle)
		g.CloseIdleConnections()
		assert.Zero(s, s.ours.Stats().Open)
	})
	(&transport.Guard{Base: wrapper{}}).CloseIdleConnections()
	itself := new(wrapper)
	itself.within = itself
	(&transport.Guard{Base: itself}).CloseIdleConnections()
}

// A cancelled request says so behind the guard as well.
func TestGuardPassesCancellation(t *testing.T) {
	everywhere(t, hang, func(s *story) {
		ctx, cancel := context.WithCancel(s.Context())
		resp, err := (&transport.Guard{Base: s.rt}).RoundTrip(s.request(http.MethodGet, "/body", nil).WithContext(ctx))
		require.NoError(s, err)
		cancel()
		_, err = io.ReadAll(resp.Body)
		if s.ours != nil { // net/http sometimes takes the end it made itself for the body's
			assert.ErrorIs(s, err, context.Canceled)
		}
		assert.NoError(s, resp.Body.Close())
	})
}
