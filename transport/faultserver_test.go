//go:build linux

package transport_test

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/watertight-go/watertight/internal/badserver"
	"github.com/watertight-go/watertight/transport"
)

// startFaulty starts a server that answers each request with its path, but plays a fault on its first connection: what is beneath, on TCP,
// and then script, within TLS where there is TLS; a version of it where the server makes its records itself. A fault of a proxy is none of
// the server's.
func startFaulty(t *testing.T, mode string, f fault, script badserver.Script) *httptest.Server {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, strings.TrimPrefix(r.URL.Path, "/"))
	}))
	server.EnableHTTP2 = mode == "http2"
	play := func(c net.Conn) {
		if badserver.Play(c, f.beneath) != nil {
			return
		}
		if f.sealed != 0 {
			sc, err := transport.NewSealedConn(c, server.TLS, f.sealed)
			if err != nil {
				return
			}
			c = sc
		} else if mode != "http" {
			tc := tls.Server(c, server.TLS)
			if tc.Handshake() != nil {
				return
			}
			c = tc
		}
		_ = badserver.Play(c, script)
		_ = c.Close()
	}
	if f.proxy != nil {
		play = nil
	}
	startPlaying(t, server, play, mode != "http")
	return server
}

// startFaultyProxy starts a proxy that plays a script on its first connection; nil: that does what it should.
func startFaultyProxy(t *testing.T, script badserver.Script) *httptest.Server {
	p := &testProxy{}
	p.Server = httptest.NewUnstartedServer(http.HandlerFunc(p.serve))
	var play func(net.Conn)
	if script != nil {
		play = func(c net.Conn) { _ = badserver.Play(c, script) }
	}
	startPlaying(t, p.Server, play, false)
	return p.Server
}

// startPlaying starts a server whose first connection is play's, unless that is nil.
func startPlaying(t *testing.T, server *httptest.Server, play func(net.Conn), secure bool) {
	l := &faultListener{Listener: server.Listener, play: play}
	if play != nil {
		server.Listener = l
	}
	if secure {
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(func() {
		server.Close()
		l.end()
	})
}

// A faultListener keeps the first connection for itself.
type faultListener struct {
	net.Listener
	play    func(net.Conn)
	playing sync.WaitGroup

	mu    sync.Mutex // guards first
	first net.Conn
}

func (l *faultListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	again := l.first != nil
	if !again {
		l.first = c
	}
	l.mu.Unlock()
	if again {
		return c, nil
	}
	l.playing.Go(func() {
		defer c.Close()
		l.play(c)
	})
	return l.Accept()
}

func (l *faultListener) end() {
	l.mu.Lock()
	c := l.first
	l.mu.Unlock()
	if c != nil {
		_ = c.Close()
	}
	l.playing.Wait()
}
