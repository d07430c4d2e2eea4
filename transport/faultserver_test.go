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

// startFaulty starts a server that answers each request with its path, but plays a fault on its first connection: beneath on TCP, and
// then script, within TLS where there is TLS; a version
// of it where the server makes its records itself.
func startFaulty(t *testing.T, mode string, sealed uint16, beneath, script badserver.Script) *httptest.Server {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, strings.TrimPrefix(r.URL.Path, "/"))
	}))
	server.EnableHTTP2 = mode == "http2"
	l := &faultListener{Listener: server.Listener, play: func(c net.Conn) {
		if badserver.Play(c, beneath) != nil {
			return
		}
		if sealed != 0 {
			sc, err := transport.NewSealedConn(c, server.TLS, sealed)
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
	}}
	server.Listener = l
	if mode == "http" {
		server.Start()
	} else {
		server.StartTLS()
	}
	t.Cleanup(func() {
		server.Close()
		l.end()
	})
	return server
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
