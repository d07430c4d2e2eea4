package transport_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
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

// Who come first share a dial. When the server has said how many streams it allows, as many connections as they need are opened, and no
// more.
func TestHTTP2FirstRequests(t *testing.T) {
	for name, tt := range map[string]struct {
		limit, requests int
		conns           int64
	}{
		"one more":          {100, 120, 2},
		"one is enough":     {250, 120, 1},
		"one for very many": {1000, 600, 1},
	} {
		t.Run(name, func(t *testing.T) {
			var arrived atomic.Int64
			all := make(chan struct{})
			s := &story{T: t, http2: true, server: httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				if arrived.Add(1) == int64(tt.requests) {
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
			s.server.Config.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: tt.limit}
			s.server.StartTLS()
			t.Cleanup(s.server.Close)
			readRest := sync.OnceFunc(func() { close(listener.rest) })
			t.Cleanup(readRest)
			s.connect(false)
			var answers []<-chan arrival
			for range tt.requests {
				answers = append(answers, s.async(s.Context(), "/"))
			}
			s.eventually("waiting", func() bool { return s.ours.Stats().Waiting == tt.requests })
			s.wantDials(1)
			close(listener.first)
			s.eventually("opened", func() bool { return listener.accepted.Load() == tt.conns })
			readRest()
			for _, answer := range answers {
				require.NoError(t, (<-answer).err)
			}
			assert.Equal(t, tt.conns, listener.accepted.Load())
			s.wantDials(tt.conns)
		})
	}
}
