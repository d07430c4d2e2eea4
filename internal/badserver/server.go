package badserver

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http/httptest"
	"sync"
)

// TB is what a server needs of a test.
type TB interface {
	Helper()
	Cleanup(func())
	Fatalf(format string, args ...any)
}

// A Server plays scripts on the connections to a loopback address.
type Server struct {
	// URL is the server's address as a URL without a path.
	URL string
	// TLS is a configuration that trusts the server; nil without TLS.
	TLS *tls.Config

	listener net.Listener
	scripts  []Script
	over     chan struct{}
	done     sync.WaitGroup

	mu       sync.Mutex // guards the fields below
	accepted int
	open     map[net.Conn]struct{}
}

// Start starts a server that plays the first script on its first connection, the second on its second, and the last
// on all further ones. It ends with the test.
func Start(tb TB, scripts ...Script) *Server {
	tb.Helper()
	return start(tb, nil, scripts)
}

// StartTLS is Start with TLS.
func StartTLS(tb TB, scripts ...Script) *Server {
	tb.Helper()
	certified := httptest.NewUnstartedServer(nil) // it has a certificate
	certified.StartTLS()
	defer certified.Close()
	s := start(tb, &tls.Config{Certificates: certified.TLS.Certificates}, scripts)
	roots := x509.NewCertPool()
	roots.AddCert(certified.Certificate())
	s.TLS = &tls.Config{RootCAs: roots, ServerName: "example.com"}
	return s
}

func start(tb TB, cfg *tls.Config, scripts []Script) *Server {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatalf("badserver: %v", err)
	}
	s := &Server{
		URL:      "http://" + l.Addr().String(),
		listener: l,
		scripts:  scripts,
		over:     make(chan struct{}),
		open:     map[net.Conn]struct{}{},
	}
	if cfg != nil {
		s.URL = "https://" + l.Addr().String()
		s.listener = tls.NewListener(l, cfg)
	}
	s.done.Go(s.accept)
	tb.Cleanup(s.end)
	return s
}

// Accepted returns how many connections were accepted.
func (s *Server) Accepted() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.accepted
}

func (s *Server) accept() {
	for {
		c, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		script := s.scripts[min(s.accepted, len(s.scripts)-1)]
		s.accepted++
		s.open[c] = struct{}{}
		s.mu.Unlock()
		s.done.Go(func() { s.serve(c, script) })
	}
}

func (s *Server) serve(c net.Conn, script Script) {
	if tc, ok := c.(*tls.Conn); ok {
		_ = tc.Handshake() // before the script, whose first step may be to wait
	}
	// An error is the client's leaving, which ends the script; what the client makes of it all is the test's to judge.
	_ = script.play(&session{conn: c, r: bufio.NewReader(c), over: s.over})
	_ = c.Close()
	s.mu.Lock()
	delete(s.open, c)
	s.mu.Unlock()
}

func (s *Server) end() {
	close(s.over)
	_ = s.listener.Close()
	s.mu.Lock()
	for c := range s.open {
		_ = c.Close()
	}
	s.mu.Unlock()
	s.done.Wait()
}
