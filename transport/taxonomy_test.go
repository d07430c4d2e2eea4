//go:build linux

package transport_test

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/internal/sockstat"
	"github.com/watertight-go/watertight/transport"
)

// The ways in which a connection leaks, by the numbers that the package's documentation gives them, each told of every caller:
// what the kernel and the reports say afterwards.

// wantGone waits until the kernel has no socket of ours; over HTTP/2, until no stream is left and its connection is idle.
func (s *story) wantGone() {
	s.Helper()
	if s.http2 {
		s.eventually("no stream", func() bool { return s.ours.Stats().Leased == 0 })
		s.eventually("no other socket", func() bool {
			return maps.Equal(sockets(s, s.server), map[sockstat.State]int{sockstat.Established: s.ours.Stats().Idle})
		})
		return
	}
	s.wantNoSockets()
	assert.Zero(s, s.ours.Stats().Open)
}

// streaming is the size of a body that does not fit into a buffer, and arrives although nobody reads.
const streaming = 60000

// 1: a body that has arrived whole holds nothing, and nothing is left to be found by the collector.
func TestTaxonomyBuffered(t *testing.T) {
	small := map[string]caller{}
	for name, c := range callers() {
		if c.part == nil {
			small[name] = c
		}
	}
	walk(t, small, taxonomyServer{}, func(s *story, c caller, leaks func() []transport.Leak) {
		for range 5 {
			resp, _ := c.get(s, s.Context(), 300)
			assert.NotNil(s, resp.Body)
			if s.http2 {
				s.eventually("nothing leased", func() bool { return s.ours.Stats().Leased == 0 })
			}
			assert.Zero(s, s.ours.Stats().Leased)
		}
		s.wantDials(1)
		assert.Equal(s, map[sockstat.State]int{sockstat.Established: 1}, sockets(s, s.server))
		assert.Empty(s, leaks())
	})
}

// 2: a body that was dropped is found by the collector.
func TestTaxonomyDropped(t *testing.T) {
	walk(t, callers(), taxonomyServer{}, func(s *story, c caller, leaks func() []transport.Leak) {
		_, read := c.get(s, s.Context(), 1<<20)
		s.eventuallyCollected("reported", func() bool { return len(leaks()) == 1 })
		assert.Equal(s, transport.Dropped, leaks()[0].Cause)
		assert.EqualValues(s, read, leaks()[0].BytesRead)
		s.wantGone()
	})
}

// 3: a body that is kept and not read is taken back after LeakTimeout; who reads on nevertheless is told. Some callers wait beside others.
func TestTaxonomyForgotten(t *testing.T) {
	var running sync.WaitGroup
	defer running.Wait()
	places := make(chan struct{}, 8)
	for name, c := range callers() {
		places <- struct{}{}
		running.Go(func() {
			defer func() { <-places }()
			walk(t, map[string]caller{name: c}, taxonomyServer{}, forgets, func(tr *transport.Transport) {
				tr.LeakTimeout = 30 * time.Millisecond
				if c.part != nil {
					tr.LeakTimeout = 500 * time.Millisecond // time enough to read that part
				}
			})
		})
	}
}

func forgets(s *story, c caller, leaks func() []transport.Leak) {
	resp, _ := c.get(s, s.Context(), 1<<20)
	s.eventually("reported", func() bool { return len(leaks()) == 1 })
	assert.Equal(s, transport.Forgotten, leaks()[0].Cause)
	s.wantGone()
	_, err := io.ReadAll(resp.Body)
	var re *transport.ReclaimedError
	assert.ErrorAs(s, err, &re)
	assert.NoError(s, resp.Body.Close())
	assert.Len(s, leaks(), 1)
}

// 4: a server that hangs up behind the body leaves no socket, and loses the caller no byte.
func TestTaxonomyHungUp(t *testing.T) {
	walk1(t, callers(), taxonomyServer{hangUp: true}, func(s *story, c caller, leaks func() []transport.Leak) {
		resp, read := c.get(s, s.Context(), streaming)
		s.wantGone()
		rest, err := io.ReadAll(resp.Body)
		require.NoError(s, err)
		assert.Equal(s, string(noise(streaming)[read:]), string(rest))
		assert.NoError(s, resp.Body.Close())
		assert.Empty(s, leaks())
	})
}

// 9: a body that is closed with some of it unread gives its connection to the next request.
func TestTaxonomyClosedEarly(t *testing.T) {
	walk(t, callers(), taxonomyServer{}, func(s *story, c caller, leaks func() []transport.Leak) {
		for range 3 {
			resp, _ := c.get(s, s.Context(), streaming)
			assert.NoError(s, resp.Body.Close())
			s.eventually("idle", func() bool { return s.ours.Stats().Idle == 1 })
		}
		s.wantDials(1)
		assert.Empty(s, leaks())
	}, func(tr *transport.Transport) { tr.DrainTimeout = patience })
}

// 10: a request that is cancelled gives up its connection at once, whether anybody reads its body or not.
func TestTaxonomyCancelled(t *testing.T) {
	walk(t, callers(), taxonomyServer{}, func(s *story, c caller, leaks func() []transport.Leak) {
		ctx, cancel := context.WithCancel(s.Context())
		defer cancel()
		resp, _ := c.get(s, ctx, 1<<20)
		cancel()
		s.wantGone()
		_, err := io.ReadAll(resp.Body)
		assert.ErrorIs(s, err, context.Canceled)
		assert.Empty(s, leaks())
	})
}

// 11: dropped bodies hold all connections that the limit allows, and nothing makes the collector run: a request that waits does.
// All callers come at once, so that they become suspicious at the same time.
func TestTaxonomyStarving(t *testing.T) {
	plainAndTLS(t, func(t *testing.T, https bool) {
		s := newStory(t, (&taxonomyServer{}).ServeHTTP, https, false)
		withoutCollections(t)
		starve := map[string]func(){}
		for name, c := range callers() {
			var leaks atomic.Int32
			tr := s.ours.Clone()
			t.Cleanup(func() { assert.NoError(t, tr.Close()) })
			tr.MaxConnsPerHost, tr.OnLeak = 3, func(transport.Leak) { leaks.Add(1) }
			get := func() io.Closer {
				resp, _ := c.open(s, tr, s.request(http.MethodGet, "/1000000", nil))
				return resp.Body
			}
			for range 3 {
				_ = get()
			}
			starve[name] = func() {
				body := get()
				s.eventually(name+": reported", func() bool { return leaks.Load() == 3 })
				require.NoError(s, body.Close())
			}
		}
		assert.Equal(s, 3*len(starve), sockets(s, s.server)[sockstat.Established])
		for _, tell := range starve {
			tell()
		}
		s.wantNoSockets()
	})
}

// An endlessUpload is a request's body that never ends, and counts how often it is closed.
type endlessUpload struct{ closed *atomic.Int32 }

func (endlessUpload) Read(p []byte) (int, error) { return len(p), nil }

func (b endlessUpload) Close() error {
	b.closed.Add(1)
	return nil
}

// tlsPatience is how long crypto/tls waits for a peer that does not read, to tell it of the end.
const tlsPatience = 5 * time.Second

// 13: the server has answered, and reads no more of an upload that goes on: with the response's body dropped it ends, and the
// request's body is closed once. What TLS has to say at its end waits for nobody.
func TestTaxonomyStuckUpload(t *testing.T) {
	walk1(t, callers(), taxonomyServer{early: true}, func(s *story, c caller, leaks func() []transport.Leak) {
		var closed atomic.Int32
		func() {
			req := s.request(http.MethodPost, "/60000", endlessUpload{&closed})
			_, _ = c.open(s, s.rt, req)
		}()
		s.eventuallyCollected("reported", func() bool { return len(leaks()) == 1 })
		began := time.Now()
		s.wantGone()
		assert.Less(s, time.Since(began), tlsPatience-time.Second)
		s.eventually("closed", func() bool { return closed.Load() > 0 })
		assert.EqualValues(s, 1, closed.Load())
	})
}

// 14: a tunnel that is dropped is closed and reported; before, its peer's end is io.EOF, and writing goes on.
func TestTaxonomyTunnel(t *testing.T) {
	tunnels := map[string]caller{}
	for name, c := range callers() {
		if c.part == nil && !c.gzip {
			tunnels[strings.TrimSuffix(name, ", unread")] = c
		}
	}
	for name, c := range tunnels {
		t.Run(name, func(t *testing.T) {
			ours1(t, upgradeEcho, func(s *story) {
				leaks := s.leaks()
				func() {
					req := s.request(http.MethodGet, "/", nil)
					req.Header.Set("Connection", "Upgrade")
					req.Header.Set("Upgrade", "echo")
					resp, _ := c.open(s, s.rt, req)
					require.Equal(s, http.StatusSwitchingProtocols, resp.StatusCode)
				}()
				s.eventuallyCollected("reported", func() bool { return len(leaks()) == 1 })
				assert.Equal(s, transport.Dropped, leaks()[0].Cause)
				s.wantGone()
			})
		})
	}
}

// 16: a Transport that is dropped without Close takes its idle connections with it; a body that is still being read goes on to
// its end.
func TestTaxonomyDroppedTransport(t *testing.T) {
	walk1(t, callers(), taxonomyServer{}, func(s *story, c caller, _ func() []transport.Leak) {
		resp, read := func() (*http.Response, int) {
			tr := s.ours.Clone()
			for range 3 {
				resp := mustGet(s.T, tr, s.server.URL+"/10")
				require.NoError(s, resp.Body.Close())
			}
			resp, read := c.open(s, tr, s.request(http.MethodGet, "/1000000", nil))
			idle := mustGet(s.T, tr, s.server.URL+"/10")
			require.NoError(s, idle.Body.Close())
			return resp, read
		}()
		s.eventuallyCollected("idle ones closed", func() bool { return len(sockets(s, s.server)) == 1 })
		rest, err := io.ReadAll(resp.Body)
		require.NoError(s, err)
		assert.Len(s, rest, 1000000-read)
		require.NoError(s, resp.Body.Close()) // or the client's Timeout refers to the Transport until it passes
		s.eventuallyCollected("all closed", func() bool { return len(sockets(s, s.server)) == 0 })
	})
}

// Nothing that a caller does at the wrong time makes a leak: Close twice, Close while a Read is in progress, a Read after it.
func TestTaxonomyClumsyCallers(t *testing.T) {
	walk(t, someCallers(), taxonomyServer{}, func(s *story, c caller, leaks func() []transport.Leak) {
		resp, _ := c.get(s, s.Context(), 1<<20)
		var reading sync.WaitGroup
		reading.Go(func() { _, _ = io.Copy(io.Discard, resp.Body) })
		assert.NoError(s, resp.Body.Close())
		assert.NoError(s, resp.Body.Close())
		reading.Wait()
		_, err := resp.Body.Read(make([]byte, 1))
		assert.True(s, err == io.EOF || errors.Is(err, http.ErrBodyReadAfterClose), "%v", err)
		s.eventually("given back", func() bool { return s.ours.Stats().Leased == 0 })
		assert.Empty(s, leaks())
	})
}
