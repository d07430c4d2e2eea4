package transport_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"

	"github.com/watertight-go/watertight/internal/badserver"
	"github.com/watertight-go/watertight/internal/memnet"
	"github.com/watertight-go/watertight/transport"
)

// A slowListener accepts connections, of which it reads nothing before it is told to: of the first, and of the others.
type slowListener struct {
	net.Listener
	accepted    atomic.Int64
	first, rest chan struct{}
}

func (l *slowListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	switch {
	case err != nil:
		return nil, err
	case l.accepted.Add(1) == 1:
		return &unreadConn{c, l.first}, nil
	}
	return &unreadConn{c, l.rest}, nil
}

type unreadConn struct {
	net.Conn
	read chan struct{}
}

func (c *unreadConn) Read(p []byte) (int, error) {
	<-c.read
	return c.Conn.Read(p)
}

// Who come first share a dial. When the server has said how many streams it allows, as many connections as they need are opened at once, and
// no more.
func TestHTTP2FirstRequests(t *testing.T) {
	for name, tt := range map[string]struct {
		limit, requests int
		conns           int64
	}{
		"one stream each":   {1, 50, 50},
		"seven":             {7, 50, 8},
		"one more":          {100, 120, 2},
		"one is enough":     {250, 120, 1},
		"one for very many": {1000, 600, 1},
	} {
		t.Run(name, func(t *testing.T) {
			for tries := 10; ; tries-- {
				began := time.Now()
				dials := firstRequests(t, tt.limit, tt.requests, tt.conns)
				if time.Since(began) < 250*time.Millisecond {
					assert.Equal(t, tt.conns, dials)
					return
				}
				if assert.GreaterOrEqual(t, dials, tt.conns, "a dial that takes longer has company"); tries == 0 {
					return
				}
			}
		})
	}
}

// firstRequests sends that many requests at once to a server which allows limit streams on a connection, and returns how many connections
// were dialed.
func firstRequests(t *testing.T, limit, requests int, conns int64) int64 {
	var arrived atomic.Int64
	all := make(chan struct{})
	s := &story{T: t, http2: true, server: httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if arrived.Add(1) == int64(requests) {
			close(all)
		}
		select {
		case <-all: // each has its stream
		case <-r.Context().Done():
		}
	}))}
	listener := &slowListener{Listener: s.server.Listener, first: make(chan struct{}), rest: make(chan struct{})}
	s.server.Listener = listener
	s.server.EnableHTTP2 = true
	s.server.Config.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: limit}
	s.server.StartTLS()
	t.Cleanup(s.server.Close)
	readRest := sync.OnceFunc(func() { close(listener.rest) })
	t.Cleanup(readRest)
	s.connect(false)
	var answers []<-chan arrival
	for range requests {
		answers = append(answers, s.async(s.Context(), "/"))
	}
	s.eventually("waiting", func() bool { return s.ours.Stats().Waiting == requests })
	close(listener.first)
	s.eventually("opened at once", func() bool { return listener.accepted.Load() >= conns })
	readRest()
	for _, answer := range answers {
		require.NoError(t, (<-answer).err)
	}
	s.eventually("accepted, each dial", func() bool { return listener.accepted.Load() == s.dials.Load() })
	stats := s.ours.Stats()
	assert.EqualValues(t, requests, stats.Requests)
	assert.Zero(t, stats.Retries, "who is one too many has not begun")
	return s.dials.Load()
}

// A dial that leads nowhere holds up nobody for long who did not begin it: soon one of them finds out whether another does.
func TestHTTP2DialThatHangs(t *testing.T) {
	ours(t, sized, func(s *story) {
		dial, first := s.ours.DialContext, make(chan struct{})
		var began atomic.Bool
		s.ours.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if began.CompareAndSwap(false, true) {
				close(first)
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return dial(ctx, network, addr)
		}
		ctx, cancel := context.WithTimeout(s.Context(), patience)
		defer cancel()
		answers := []<-chan arrival{s.async(ctx, "/10")}
		<-first
		for range 10 {
			answers = append(answers, s.async(ctx, "/10"))
		}
		for _, answer := range answers {
			require.NoError(s, (<-answer).err)
		}
	})
}

// A dial that fails is the error of the request that began it. The others have one more.
func TestHTTP2DialThatFails(t *testing.T) {
	ours(t, sized, func(s *story) {
		dial, refused := s.ours.DialContext, errors.New("refused")
		var dials atomic.Int64
		many := make(chan struct{})
		s.ours.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if dials.Add(1) == 1 {
				<-many
				return nil, refused
			}
			return dial(ctx, network, addr)
		}
		ctx, cancel := context.WithTimeout(s.Context(), patience)
		defer cancel()
		var answers []<-chan arrival
		for range 10 {
			answers = append(answers, s.async(ctx, "/10"))
		}
		if s.http2 {
			s.eventually("waiting", func() bool { return s.ours.Stats().Waiting == 10 })
		}
		close(many)
		failed := 0
		for _, answer := range answers {
			if err := (<-answer).err; err != nil {
				require.ErrorIs(s, err, refused)
				failed++
			}
		}
		assert.LessOrEqual(s, failed, 1)
	})
}

// breaksRules is a server that breaks the rules at once.
func breaksRules(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			_ = badserver.Play(c, badserver.Script{badserver.HTTP2{Late: true, Speak: func(f *badserver.Frames) error {
				if err := f.WriteRawFrame(http2.FrameSettings, 0, 1, nil); err != nil {
					return err
				}
				return f.Rest()
			}}})
		}()
	}
}

// A server that breaks the rules at once is asked by one connection after the other: that the first one has failed, with one request on it
// or with many, does not tell how many the next one will carry.
func TestHTTP2BrokenServerIsNotStormed(t *testing.T) {
	for range 60 { // as when it is seen to have failed is left to chance
		synctest.Test(t, func(t *testing.T) {
			var n memnet.Network
			l, err := n.Listen("a.example:80")
			require.NoError(t, err)
			go breaksRules(l)
			var dialing, crowd atomic.Int64
			tr := &transport.Transport{Protocols: speaking((*http.Protocols).SetUnencryptedHTTP2), Logger: discardLogger}
			tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				if dialing.Add(1) > 1 {
					crowd.Add(1)
				}
				defer dialing.Add(-1)
				time.Sleep(200 * time.Millisecond) // of the bubble; one of more than 250 is not waited for alone
				return n.DialContext(ctx, network, addr)
			}
			var all sync.WaitGroup
			for range 100 {
				all.Go(func() {
					req, err := http.NewRequest(http.MethodGet, "http://a.example/", nil)
					assert.NoError(t, err)
					_, err = tr.RoundTrip(req)
					assert.Error(t, err)
				})
			}
			all.Wait()
			assert.Zero(t, crowd.Load(), "dials beside another")
			require.NoError(t, tr.Close())
			require.NoError(t, l.Close())
		})
	}
}
