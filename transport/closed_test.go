package transport_test

import (
	"context"
	"io"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/internal/memnet"
	"github.com/watertight-go/watertight/pool"
	"github.com/watertight-go/watertight/transport"
)

// closeLog keeps what an observer of closes is told.
type closeLog struct {
	mu  sync.Mutex
	all []transport.ClosedConnection
}

func (l *closeLog) note(c transport.ClosedConnection) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, c)
}

func (l *closeLog) take() []transport.ClosedConnection {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer func() { l.all = nil }()
	return l.all
}

// Each connection that is closed is told of once, with its age to the second, and is in the histogram of them.
func TestObserveCloses(t *testing.T) {
	bubble(t, sized, func(t *testing.T, _ *memnet.Network, server *http.Server, tr *transport.Transport) {
		var before, log closeLog
		stopBefore := tr.ObserveCloses(before.note) // before its first use, which settings are still to be made for
		defer tr.ObserveCloses(log.note)()
		tr.IdleConnTimeout = time.Minute
		fetch(t, tr, "/10")
		time.Sleep(30 * time.Second)
		fetch(t, tr, "/10")
		time.Sleep(time.Minute)
		synctest.Wait()
		got := log.take()
		require.Len(t, got, 1)
		assert.Equal(t, "http://a.example", got[0].Origin)
		assert.Equal(t, "HTTP/1.1", got[0].Protocol)
		assert.Equal(t, pool.IdleTimeout, got[0].Reason)
		assert.False(t, got[0].PeerFirst)
		assert.Equal(t, 90*time.Second, got[0].Age)
		assert.EqualValues(t, 2, got[0].Requests)
		assert.Contains(t, got[0].Remote, "a.example:80")
		assert.Equal(t, got, before.take())

		stopBefore()
		stopBefore()
		fetch(t, tr, "/10")
		time.Sleep(2 * time.Second)
		server.SetKeepAlivesEnabled(false) // it closes what is idle
		synctest.Wait()
		got = log.take()
		require.Len(t, got, 1)
		assert.Equal(t, transport.ReasonPeerClosed, got[0].Reason)
		assert.True(t, got[0].PeerFirst)
		assert.Equal(t, 2*time.Second, got[0].Age)
		assert.Empty(t, before.take())

		a := tr.Stats().Ages
		assert.EqualValues(t, 2, a.Count)
		assert.Equal(t, 92*time.Second, a.Sum)
		for _, up := range a.UpTo {
			want := 0
			if up.Age >= 3*time.Second {
				want++
			}
			if up.Age >= 100*time.Second {
				want++
			}
			assert.EqualValues(t, want, up.Count, "up to %v", up.Age)
		}
	})
}

// A connection beyond the last bound is counted all the same; one as old as a bound is not beyond it.
func TestAgesAtTheirBounds(t *testing.T) {
	bubble(t, sized, func(t *testing.T, _ *memnet.Network, _ *http.Server, tr *transport.Transport) {
		for _, age := range []time.Duration{10 * time.Second, 10*time.Second + 1, 24 * time.Hour} {
			tr.MaxIdleConns = 1 // so that there is no IdleConnTimeout
			fetch(t, tr, "/10")
			time.Sleep(age)
			tr.CloseIdleConnections()
		}
		a := tr.Stats().Ages
		assert.EqualValues(t, 3, a.Count)
		for _, up := range a.UpTo {
			switch {
			case up.Age < 10*time.Second:
				assert.Zero(t, up.Count, up.Age)
			case up.Age == 10*time.Second:
				assert.EqualValues(t, 1, up.Count)
			default:
				assert.EqualValues(t, 2, up.Count, up.Age)
			}
		}
	})
}

// A connection is told of whatever it speaks, and as old as it is where it became its caller's.
func TestObserveClosesOfAll(t *testing.T) {
	ours(t, sized, func(s *story) {
		var log closeLog
		defer s.ours.ObserveCloses(log.note)()
		for range 3 {
			s.read(s.get("/10"))
		}
		s.eventually("idle", func() bool { return s.ours.Stats().Idle == 1 })
		c := s.ours.Connections()[0]
		s.ours.CloseIdleConnections()
		got := log.take()
		require.Len(s, got, 1)
		assert.Equal(s, []string{c.Origin, c.Protocol, c.Local, c.Remote}, []string{got[0].Origin, got[0].Protocol, got[0].Local, got[0].Remote})
		assert.EqualValues(s, 3, got[0].Requests)
		assert.GreaterOrEqual(s, got[0].Age, c.Age)
		assert.EqualValues(s, 1, s.ours.Stats().Ages.Count)
	})
	ours1(t, upgradeEcho, func(s *story) {
		var log closeLog
		defer s.ours.ObserveCloses(log.note)()
		before := time.Now()
		req := s.request(http.MethodGet, "/", nil)
		req.Header.Set("Connection", "Upgrade")
		req.Header.Set("Upgrade", "echo")
		resp := s.send(req)
		opened := time.Since(before)
		assert.Empty(s, log.take())
		require.NoError(s, resp.Body.Close())
		got := log.take()
		require.Len(s, got, 1)
		assert.Equal(s, transport.ReasonUpgraded, got[0].Reason)
		assert.EqualValues(s, 1, got[0].Requests)
		assert.Positive(s, got[0].Age)
		assert.LessOrEqual(s, got[0].Age, time.Since(before), "since the dial, which took part of %v", opened)
	})
}

// Each request that was begun on a connection counts once: also one that was cancelled, whether its connection was closed for that or
// salvaged.
func TestRequestsOfAConnection(t *testing.T) {
	for name, salvage := range map[string]time.Duration{"closed": 0, "salvaged": patience} {
		t.Run(name, func(t *testing.T) {
			arrived, answer := make(chan struct{}), make(chan struct{})
			handler := func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/wait" {
					arrived <- struct{}{}
					<-answer
				}
				sized(w, r)
			}
			s := newStory(t, handler, false, false)
			s.ours.SalvageTimeout = salvage
			var log closeLog
			defer s.ours.ObserveCloses(log.note)()
			s.read(s.get("/10"))
			ctx, cancel := context.WithCancel(s.Context())
			go func() {
				<-arrived
				assert.EqualValues(s, 2, s.ours.Connections()[0].Requests, "the one in progress among them")
				cancel()
			}()
			_, err := s.rt.RoundTrip(s.request(http.MethodGet, "/wait", nil).WithContext(ctx))
			require.ErrorIs(s, err, context.Canceled)
			close(answer)
			if salvage > 0 {
				s.eventually("salvaged", func() bool { return s.ours.Stats().Idle == 1 })
				assert.EqualValues(s, 2, s.ours.Connections()[0].Requests)
				s.ours.CloseIdleConnections()
			}
			s.eventually("closed", func() bool { return s.ours.Stats().Open == 0 })
			got := log.take()
			require.Len(s, got, 1)
			assert.EqualValues(s, 2, got[0].Requests)
		})
	}
}

// So does one whose connection is closed before its end, as the server has hung up and all that came is in memory.
func TestRequestsOfAnAbsorbedConnection(t *testing.T) {
	unlessOnWindows(t, nothingWatches)
	s := newStory(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/cut" {
			sized(w, r)
			return
		}
		nc, _, err := http.NewResponseController(w).Hijack()
		if assert.NoError(t, err) {
			_, _ = io.WriteString(nc, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")
			_ = nc.Close()
		}
	}, false, false)
	var log closeLog
	defer s.ours.ObserveCloses(log.note)()
	s.read(s.get("/10"))
	resp := s.get("/cut")
	s.eventually("closed, with the body still open", func() bool { return s.ours.Stats().Open == 0 })
	got := log.take()
	require.Len(s, got, 1)
	assert.Equal(s, transport.ReasonPeerClosed, got[0].Reason)
	assert.EqualValues(s, 2, got[0].Requests)
	_, err := io.ReadAll(resp.Body)
	assert.Equal(s, io.ErrUnexpectedEOF, err)
}
