package transport_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/internal/badserver"
	"github.com/watertight-go/watertight/pool"
	"github.com/watertight-go/watertight/transport"
)

// closed returns how many connections were closed, by the reasons.
func closed(c transport.Counts) (n int64) {
	for _, m := range c.Closes {
		n += m
	}
	return n
}

// wantBalance wants a snapshot to add up, and its counters to be no less than before.
func wantBalance(t *testing.T, before, now transport.Counts) {
	t.Helper()
	assert.EqualValues(t, now.Dials-closed(now), now.Open, "opened less closed is open: %+v", now)
	assert.Equal(t, closed(now), now.PeerFirst+now.WeFirst, "each close has one who was first: %+v", now)
	assert.LessOrEqual(t, now.Reuses, now.Requests)
	for what, grows := range map[string][2]int64{
		"requests": {before.Requests, now.Requests}, "reuses": {before.Reuses, now.Reuses}, "dials": {before.Dials, now.Dials},
		"retries": {before.Retries, now.Retries}, "peer first": {before.PeerFirst, now.PeerFirst}, "we first": {before.WeFirst, now.WeFirst},
		"drained": {before.Drained, now.Drained}, "absorbed": {before.Absorbed, now.Absorbed}, "dial errors": {before.DialErrors, now.DialErrors},
	} {
		assert.LessOrEqual(t, grows[0], grows[1], what)
	}
	for why, n := range before.Closes {
		assert.LessOrEqual(t, n, now.Closes[why], why)
	}
}

// Whatever is done to a Transport at once, each snapshot adds up, in all and for the origin; in the end both say the same.
func TestLedgerUnderLoad(t *testing.T) {
	ours(t, stressed, func(s *story) {
		s.ours.Logger = discardLogger
		seed := uint64(time.Now().UnixNano())
		s.Logf("seed %d", seed)
		end := time.Now().Add(*stressTime / 5)
		done := make(chan struct{})
		var counting, wg sync.WaitGroup
		counting.Go(func() {
			var before transport.Stats
			for {
				select {
				case <-done:
					return
				default:
				}
				now := s.ours.Stats()
				wantBalance(s.T, before.Counts, now.Counts)
				assert.Equal(s, closed(now.Counts), now.Ages.Count)
				wantBalance(s.T, before.Origins[s.server.URL], now.Origins[s.server.URL])
				before = now
				runtime.Gosched()
			}
		})
		for w := range uint64(6) {
			wg.Go(func() {
				r := rand.New(rand.NewPCG(seed, w))
				for i := 0; (time.Now().Before(end) || s.ours.Stats().Reuses == 0) && !s.Failed(); i++ { // there may be none yet, on a busy machine
					s.disturb(r, fmt.Sprintf("%d-%d", w, i))
					if r.IntN(50) == 0 {
						s.rt.CloseIdleConnections()
					}
				}
			})
		}
		wg.Wait()
		s.eventually("no lease left", func() bool {
			runtime.GC()
			return s.ours.Stats().Leased == 0
		})
		close(done)
		counting.Wait()
		s.rt.CloseIdleConnections()
		st := s.ours.Stats()
		wantBalance(s.T, transport.Counts{}, st.Counts)
		assert.Zero(s, st.Open)
		assert.Zero(s, st.Bodies)
		assert.Positive(s, st.Reuses)
		assert.Equal(s, map[string]transport.Counts{s.server.URL: st.Counts}, st.Origins)
	}, func(t *http.Transport) { t.MaxConnsPerHost, t.MaxIdleConnsPerHost = 5, 3 })
}

// Requests to an origin that share no connections, as those with credentials that bind one, are counted together.
func TestStatsOfBoundConnections(t *testing.T) {
	ours(t, sized, func(s *story) {
		for _, authorization := range []string{"", "Negotiate abc", ""} {
			req := s.request(http.MethodGet, "/10", nil)
			req.Header.Set("Authorization", authorization)
			resp, err := s.rt.RoundTrip(req)
			require.NoError(s, err)
			s.read(resp)
		}
		st := s.ours.Stats()
		assert.EqualValues(s, 2, st.Dials)
		assert.Equal(s, map[string]transport.Counts{s.server.URL: st.Counts}, st.Origins)
	})
}

// A server that ends a connection instead of an answer was first, also where the reaper has yet to say so.
func TestPeerFirst(t *testing.T) {
	foreign := func(ctx context.Context, network, addr string) (net.Conn, error) { // only its Reads tell
		nc, err := new(net.Dialer).DialContext(ctx, network, addr)
		return struct{ net.Conn }{nc}, err
	}
	for name, last := range map[string]badserver.Step{"FIN": badserver.FIN{}, "RST": badserver.RST{}} {
		for whose, dial := range map[string]func(context.Context, string, string) (net.Conn, error){"own": nil, "foreign": foreign} {
			t.Run(name+" "+whose, func(t *testing.T) {
				server := badserver.Start(t, badserver.Script{badserver.ReadRequest{}, last})
				tr := &transport.Transport{DialContext: dial}
				defer tr.Close()
				const n = 50
				for range n {
					_, err := (&http.Client{Transport: tr}).Get(server.URL)
					require.Error(t, err)
				}
				st := tr.Stats()
				assert.EqualValues(t, n, closed(st.Counts))
				assert.EqualValues(t, n, st.PeerFirst)
			})
		}
	}
}

// So it is with idle connections, also where whoever reads the end of one closes it before the reaper comes to say so.
func TestPeerFirstOnIdleConnections(t *testing.T) {
	ours(t, sized, func(s *story) {
		const n = 50
		for i := range n {
			s.read(s.get("/10"))
			s.eventually("idle", func() bool { return s.ours.Stats().Idle == 1 })
			s.server.CloseClientConnections()
			s.eventually("closed", func() bool { return closed(s.ours.Stats().Counts) == int64(i+1) })
		}
		assert.EqualValues(s, n, s.ours.Stats().PeerFirst, "%v", s.ours.Stats().Closes)
	})
}

// An upgraded connection is open until its caller closes it, which is a close like others.
func TestStatsOfUpgrades(t *testing.T) {
	ours1(t, upgradeEcho, func(s *story) {
		req := s.request(http.MethodGet, "/", nil)
		req.Header.Set("Connection", "Upgrade")
		req.Header.Set("Upgrade", "echo")
		resp := s.send(req)
		require.Equal(s, http.StatusSwitchingProtocols, resp.StatusCode)
		want := transport.Counts{Open: 1, Upgraded: 1, Bodies: 1, Requests: 1, Dials: 1, Peak: 1}
		assert.Equal(s, want, s.ours.Stats().Counts)
		require.NoError(s, resp.Body.Close())
		want = transport.Counts{Requests: 1, Dials: 1, Peak: 1, WeFirst: 1, Closes: map[pool.Reason]int64{transport.ReasonUpgraded: 1}}
		assert.Equal(s, want, s.ours.Stats().Counts)
		require.NoError(s, resp.Body.Close())
		assert.Equal(s, want, s.ours.Stats().Counts)
	})
}

// What fails, queues and runs out of time is counted: of its origin and in all.
func TestStatsOfTrouble(t *testing.T) {
	ours(t, sized, func(s *story) {
		s.ours.AcquireTimeout = 20 * time.Millisecond
		s.ours.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if addr != s.server.Listener.Addr().String() {
				return nil, errors.New("no route")
			}
			return s.dial(ctx, network, addr)
		}
		_, err := (&http.Client{Transport: s.rt}).Get("http://nowhere.example/")
		require.ErrorContains(s, err, "no route")
		held := []*http.Response{s.get("/1000000")}
		if s.http2 { // its connection carries many
			assert.Equal(s, 1, s.ours.Stats().Bodies)
		} else {
			_, err = (&http.Client{Transport: s.rt}).Get(s.server.URL)
			require.ErrorIs(s, err, context.DeadlineExceeded)
		}
		st := s.ours.Stats()
		assert.Equal(s, transport.Counts{DialErrors: 1, Peak: 1}, st.Origins["http://nowhere.example"])
		here := st.Origins[s.server.URL]
		assert.EqualValues(s, 1, here.Dials)
		assert.EqualValues(s, 0, here.DialErrors)
		assert.Equal(s, 1, here.Leased)
		if !s.http2 {
			assert.EqualValues(s, 1, here.Waits)
			assert.EqualValues(s, 1, here.WaitTimeouts)
		}
		assert.EqualValues(s, 1, st.DialErrors)
		assert.Equal(s, here.Waits, st.Waits)
		require.NoError(s, held[0].Body.Close())
	}, func(t *http.Transport) { t.MaxConnsPerHost = 1 })
}

// Peak is how many requests there were at once when the last connection was opened.
func TestStatsOfPeak(t *testing.T) {
	release := make(chan struct{})
	handler := func(http.ResponseWriter, *http.Request) { <-release }
	ours1(t, handler, func(s *story) {
		var wg sync.WaitGroup
		for range 7 {
			wg.Go(func() {
				resp, err := (&http.Client{Transport: s.rt}).Get(s.server.URL)
				if assert.NoError(s, err) {
					_, _ = io.Copy(io.Discard, resp.Body)
					_ = resp.Body.Close()
				}
			})
		}
		s.eventually("all run", func() bool { return s.ours.Stats().Leased == 7 })
		for range 7 {
			release <- struct{}{}
		}
		wg.Wait()
		st := s.ours.Stats()
		assert.EqualValues(s, 7, st.Peak)
		assert.EqualValues(s, 7, st.Origins[s.server.URL].Peak)
	})
}
