package transport_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"

	"github.com/watertight-go/watertight/internal/badserver"
	"github.com/watertight-go/watertight/transport"
)

// strictly makes requests wait for a stream instead of dialing.
func strictly(tr *http.Transport) {
	if tr.HTTP2 == nil {
		tr.HTTP2 = &http.HTTP2Config{}
	}
	tr.HTTP2.StrictMaxConcurrentRequests = true
}

func oneConn(tr *http.Transport) { tr.MaxConnsPerHost = 1 }

// waitingForStreams tells a story of a server that allows so many streams at once, and of one connection, for each of the reasons that
// there is no other.
func waitingForStreams(t *testing.T, limit int, handler http.HandlerFunc, tell func(s *story, forStream bool), settings ...setting) {
	for name, one := range map[string]setting{"MaxConnsPerHost": oneConn, "StrictMaxConcurrentRequests": strictly} {
		t.Run(name, func(t *testing.T) {
			s := &story{T: t, server: httptest.NewUnstartedServer(handler), http2: true}
			s.server.EnableHTTP2 = true
			s.server.Config.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: limit}
			s.server.StartTLS()
			t.Cleanup(s.server.Close)
			s.connect(false, append(settings, one)...)
			tell(s, name != "MaxConnsPerHost")
		})
	}
}

// All streams that the server allows are held by dropped bodies, and the collector has no reason to run: those who wait for one get it
// all the same, after one collection. It makes no difference whether they had waited for the connection, too.
func TestRescueOfStarvingStreams(t *testing.T) {
	const limit = 3
	for name, atOnce := range map[string]bool{"one after the other": false, "at once": true} {
		t.Run(name, func(t *testing.T) {
			waitingForStreams(t, limit, sized, func(s *story, _ bool) {
				withoutCollections(s.T)
				leaks := s.leaks()
				before := collections()
				var wg sync.WaitGroup
				for range 2 * limit {
					if wg.Go(func() { _ = s.get("/1000000") }); !atOnce {
						wg.Wait()
					}
				}
				wg.Wait()
				assert.EqualValues(s, 1, collections()-before)
				s.eventually("reported", func() bool { return len(leaks()) >= limit })
				for _, l := range leaks() {
					assert.Equal(s, transport.Dropped, l.Cause)
				}
				s.wantDials(1)
			})
		})
	}
}

// A collection that finds nothing is not repeated at once, and AcquireTimeout's error says who holds the streams: open bodies and
// requests that wait for an answer, with their URLs.
func TestHoldersOfStreamsAreNamed(t *testing.T) {
	arrived, over := make(chan struct{}), make(chan struct{})
	handler := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hang" {
			arrived <- struct{}{}
			<-over
			return
		}
		sized(w, r)
	}
	waitingForStreams(t, 3, handler, func(s *story, forStream bool) {
		withoutCollections(s.T)
		s.ours.AcquireTimeout, s.ours.RecordStacks = 700*time.Millisecond, true
		before := collections()
		hung := s.async(s.Context(), "/hang?token=secret")
		<-arrived
		open := []*http.Response{s.get("/1000000?token=secret"), s.get("/1000000")}
		for range 2 {
			_, err := s.rt.RoundTrip(s.request(http.MethodGet, "/10", nil))
			var ae *transport.AcquireError
			require.ErrorAs(s, err, &ae)
			assert.Equal(s, map[bool]int{false: 1, true: 0}[forStream], ae.Limit)
			assert.Contains(s, err.Error(), map[bool]string{false: "all 1 (MaxConnsPerHost)", true: "no stream to " + s.server.URL}[forStream])
			assert.NotContains(s, err.Error(), "secret")
			require.Len(s, ae.Holders, 3)
			assert.Equal(s, transport.Holder{State: "leased", Age: ae.Holders[0].Age, URL: s.server.URL + "/hang"}, ae.Holders[0])
			for i, h := range ae.Holders {
				assert.GreaterOrEqual(s, h.Age, ae.Waited)
				if i > 0 {
					assert.LessOrEqual(s, h.Age, ae.Holders[i-1].Age)
					assert.Equal(s, s.server.URL+"/1000000", h.URL)
					assert.Contains(s, h.Stack, "http2limit_test.go:")
				}
			}
			assert.Equal(s, 3, strings.Count(err.Error(), "; leased for "))
		}
		assert.EqualValues(s, 1, collections()-before)
		s.wantFinding(map[bool]string{false: "MaxConnsPerHost", true: "HTTP2"}[forStream], map[bool]string{
			false: "2 requests waited for a connection", true: "2 requests waited for a stream",
		}[forStream], "ended 2 waits")
		for _, resp := range open {
			assert.Len(s, s.read(resp), 1000000)
		}
		over <- struct{}{}
		require.NoError(s, (<-hung).err)
		s.read(s.get("/10"))
		s.wantDials(1)
	})
}

// Bodies that were forgotten, after 5 minutes, give way to those who wait for a stream, the longest unread first, and no more of them
// than are needed.
func TestForgottenStreamsGiveWay(t *testing.T) {
	speak := func(f *badserver.Frames) error {
		for n := 0; ; n++ {
			stream, err := f.AwaitRequest()
			if err == nil {
				err = f.Head(stream, n >= 3, ":status", "200")
			}
			if err != nil {
				return err
			}
		}
	}
	for _, one := range []setting{oneConn, strictly} {
		base := &http.Transport{}
		one(base)
		settings := []http2.Setting{{ID: http2.SettingMaxConcurrentStreams, Val: 3}}
		pinged(t, base.HTTP2, speak, func(t *testing.T, tr *transport.Transport) {
			var leaks atomic.Int64
			tr.OnLeak, tr.MaxConnsPerHost = func(transport.Leak) { leaks.Add(1) }, base.MaxConnsPerHost
			var kept []*http.Response
			for range 3 {
				kept = append(kept, mustGet(t, tr, "http://a.example/"))
				time.Sleep(time.Second)
			}
			began := time.Now()
			require.NoError(t, mustGet(t, tr, "http://a.example/").Body.Close())
			assert.InDelta(t, 5*time.Minute-3*time.Second, time.Since(began), float64(time.Second))
			_, err := kept[0].Body.Read(make([]byte, 1))
			var reclaimed *transport.ReclaimedError
			require.ErrorAs(t, err, &reclaimed)
			assert.Len(t, tr.OpenBodies(), 2)
			for _, resp := range kept {
				require.NoError(t, resp.Body.Close())
			}
			assert.EqualValues(t, 1, tr.Stats().Dials)
			synctest.Wait()
			assert.EqualValues(t, 1, leaks.Load())
		}, settings...)
	}
}

// Who waits for a stream is counted as waiting, can be cancelled by all means, and takes no stream from anybody then.
func TestWaitForStreamsIsCancelled(t *testing.T) {
	waitingForStreams(t, 1, sized, func(s *story, _ bool) {
		open := s.get("/1000000")
		ctx, cancel := context.WithCancel(s.Context())
		byContext := s.async(ctx, "/10")
		req := s.request(http.MethodGet, "/10", nil)
		byCall := make(chan error)
		go func() {
			_, err := s.rt.RoundTrip(req)
			byCall <- err
		}()
		last := s.async(s.Context(), "/10")
		s.eventually("waiting", func() bool { return s.ours.Stats().Waiting == 3 })
		cancel()
		assert.Equal(s, context.Canceled, (<-byContext).err)
		s.rt.CancelRequest(req)
		assert.ErrorContains(s, <-byCall, "canceled")
		assert.Equal(s, 1, s.ours.Stats().Waiting)
		require.NoError(s, open.Body.Close())
		require.NoError(s, (<-last).err)
		s.wantDials(1)
	})
}

// A server that allows no stream any more, on a connection that has served, is asked on another: at once where that has become idle, and
// where somebody waits for it. With StrictMaxConcurrentRequests it is waited for until it allows one.
func TestHTTP2NoStreamIsAllowed(t *testing.T) {
	limited := func(limit uint32) http2.Setting {
		return http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: limit}
	}
	speak := func(f *badserver.Frames) error {
		for {
			stream, err := f.AwaitRequest()
			if err != nil {
				return err
			}
			time.Sleep(time.Second) // of the bubble
			err = f.Together(func() error {
				if err := f.WriteSettings(limited(0)); err != nil {
					return err
				}
				return f.Head(stream, true, ":status", "200")
			})
			if err != nil {
				return err
			}
			time.Sleep(20 * time.Second)
			if err := f.WriteSettings(limited(1)); err != nil {
				return err
			}
		}
	}
	for name, row := range map[string]struct {
		config *http.HTTP2Config
		dials  int64
		most   time.Duration
	}{
		"another":    {nil, 3, 10 * time.Second},
		"waited for": {&http.HTTP2Config{StrictMaxConcurrentRequests: true}, 1, 5 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			pinged(t, row.config, speak, func(t *testing.T, tr *transport.Transport) {
				tr.MaxConnsPerHost = 1
				ctx, cancel := context.WithTimeout(t.Context(), row.most)
				defer cancel()
				get := func() {
					req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://a.example/", nil)
					require.NoError(t, err)
					resp, err := tr.RoundTrip(req)
					if assert.NoError(t, err) {
						assert.NoError(t, resp.Body.Close())
					}
				}
				var both sync.WaitGroup
				both.Go(get)
				both.Go(get)
				both.Wait()
				time.Sleep(time.Second)
				get()
				assert.Equal(t, row.dials, tr.Stats().Dials)
				time.Sleep(time.Minute) // or the servers would have to be ended
			}, limited(1))
		})
	}
}

// A server that allows no stream to begin with, and refuses what came before it could say so, is waited for.
func TestHTTP2NoStreamIsAllowedAtFirst(t *testing.T) {
	scripted(t, nil, func(int) badserver.Script {
		return badserver.Script{badserver.HTTP2{Late: true, Speak: func(f *badserver.Frames) error {
			stream, err := f.AwaitRequest()
			if err != nil {
				return err
			}
			limit := http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 0}
			if err := errors.Join(f.WriteSettings(limit), f.WriteRSTStream(stream, http2.ErrCodeRefusedStream)); err != nil {
				return err
			}
			time.Sleep(20 * time.Second) // of the bubble
			limit.Val = 1
			return errors.Join(f.WriteSettings(limit), answers(0, nil)(f))
		}}}
	}, func(t *testing.T, tr *transport.Transport) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://a.example/", nil)
		require.NoError(t, err)
		began := time.Now()
		resp, err := tr.RoundTrip(req)
		require.NoError(t, err)
		assert.NoError(t, resp.Body.Close())
		assert.Equal(t, 20*time.Second, time.Since(began))
		assert.EqualValues(t, 1, tr.Stats().Dials)
	})
}

// A connection that takes no more requests, as its server said so or MaxConnLifetime is over, keeps nobody waiting under MaxConnsPerHost
// who has to wait for its streams: there may be one that never ends.
func TestLeavingConnectionsCountNoMore(t *testing.T) {
	for name, goAway := range map[string]bool{"GOAWAY": true, "MaxConnLifetime": false} {
		t.Run(name, func(t *testing.T) {
			first := func(f *badserver.Frames) error {
				stream, err := f.AwaitRequest()
				if err == nil {
					err = f.Head(stream, false, ":status", "200")
				}
				if err == nil && goAway {
					err = f.WriteGoAway(stream, http2.ErrCodeNo, nil)
				}
				return errors.Join(err, f.Rest())
			}
			scripted(t, nil, func(conn int) badserver.Script {
				limit := http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 1}
				if conn == 0 {
					return speaks(first, limit)
				}
				return speaks(answers(0, nil), limit)
			}, func(t *testing.T, tr *transport.Transport) {
				tr.MaxConnsPerHost, tr.MaxConnLifetime = 1, time.Minute
				endless := mustGet(t, tr, "http://a.example/")
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
				defer cancel()
				req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://a.example/", nil)
				require.NoError(t, err)
				resp, err := tr.RoundTrip(req)
				require.NoError(t, err)
				assert.NoError(t, resp.Body.Close())
				assert.EqualValues(t, 2, tr.Stats().Dials)
				assert.NoError(t, endless.Body.Close())
			})
		})
	}
}
