//go:build linux

package soak_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// An origin is a server that does with each request what its plan says.
type origin struct {
	name   string
	url    string
	steady bool // what happens to a request is only what its plan says
	port   uint16
	book   *book
}

// A book is what the servers know.
type book struct {
	mu    sync.Mutex // guards the fields below
	once  map[uint64]int
	wrong []string
}

// note writes down a request that may have come once only.
func (b *book) note(p plan, req *http.Request) {
	if req.Method != http.MethodPost || req.Header["Idempotency-Key"] != nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.once[p.id]++; b.once[p.id] > 1 {
		b.wrong = append(b.wrong, fmt.Sprintf("request %d was sent twice: %v", p.id, p))
	}
}

func (b *book) fault(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.wrong = append(b.wrong, fmt.Sprintf(format, args...))
}

// close ends a page: it returns what was wrong.
func (b *book) close() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.once)
	return b.wrong
}

// takeUpload reads a request's body, and returns how long it was; -1 if it did not come whole.
func (b *book) takeUpload(p plan, body io.Reader) int {
	want := &content{id: p.uploadID(), size: max(p.upload, 0)}
	buf := make([]byte, 16<<10)
	for {
		n, err := body.Read(buf)
		if !want.next(buf[:n]) {
			b.fault("request %d has other bytes in its body, after %d: %v", p.id, want.at, p)
			return -1
		}
		switch {
		case err == io.EOF && want.at != want.size:
			b.fault("request %d: a body of %d ended after %d: %v", p.id, want.size, want.at, p)
			return -1
		case err == io.EOF:
			return want.at
		case err != nil:
			return -1
		}
	}
}

// certified returns a server's configuration of TLS, and one for clients that trust it.
func certified(t *testing.T) (server, client *tls.Config) {
	s := httptest.NewUnstartedServer(nil) // it has a certificate
	s.StartTLS()
	defer s.Close()
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	return &tls.Config{Certificates: s.TLS.Certificates}, &tls.Config{RootCAs: roots}
}

// A listening accepts TCP connections and knows those that are open.
type listening struct {
	l     net.Listener
	serve func(*net.TCPConn)
	done  sync.WaitGroup

	mu   sync.Mutex // guards open
	open map[*net.TCPConn]struct{}
}

func listen(t *testing.T, serve func(*net.TCPConn)) *listening {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &listening{l: l, serve: serve, open: map[*net.TCPConn]struct{}{}}
	s.done.Go(s.accept)
	return s
}

func (s *listening) port() uint16 { return uint16(s.l.Addr().(*net.TCPAddr).Port) }

func (s *listening) accept() {
	for {
		nc, err := s.l.Accept()
		if err != nil {
			return
		}
		c := nc.(*net.TCPConn)
		s.mu.Lock()
		s.open[c] = struct{}{}
		s.mu.Unlock()
		s.done.Go(func() {
			s.serve(c)
			_ = c.Close()
			s.mu.Lock()
			delete(s.open, c)
			s.mu.Unlock()
		})
	}
}

func (s *listening) close() {
	_ = s.l.Close()
	s.mu.Lock()
	for c := range s.open {
		_ = c.Close()
	}
	s.mu.Unlock()
	s.done.Wait()
}

// startOrigin starts one of HTTP/1.1, with TLS if there is a configuration of it.
func startOrigin(t *testing.T, name string, config *tls.Config, steady bool, b *book) (*origin, *listening) {
	o := &origin{name: name, steady: steady, book: b}
	l := listen(t, func(c *net.TCPConn) {
		if steady || !mistreat(c) {
			o.serve(c, config)
		}
	})
	o.port = l.port()
	scheme := "http"
	if config != nil {
		scheme = "https"
	}
	o.url = fmt.Sprintf("%s://127.0.0.1:%d/", scheme, o.port)
	return o, l
}

// mistreat does something to a connection before a word was said on it, one in 25, and reports whether it did.
func mistreat(c *net.TCPConn) bool {
	switch rand.IntN(100) {
	case 0:
		_ = c.SetLinger(0)
	case 1:
	case 2:
		_, _ = io.WriteString(c, "220 evil ESMTP\r\n")
	case 3:
		time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond)
		_ = c.SetLinger(0)
	default:
		return false
	}
	return true
}

func (o *origin) serve(tcp *net.TCPConn, config *tls.Config) {
	var c net.Conn = tcp
	if config != nil {
		tc := tls.Server(tcp, config)
		if tc.Handshake() != nil {
			return
		}
		defer tc.Close()
		c = tc
	}
	r := bufio.NewReader(c)
	for {
		if !o.steady && rand.IntN(8) == 0 {
			_ = c.SetReadDeadline(time.Now().Add(time.Duration(rand.IntN(20000)) * time.Microsecond))
		}
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		_ = c.SetReadDeadline(time.Time{})
		p, err := planOf(req.Header)
		if err != nil {
			o.book.fault("a request without its plan: %v", err)
			return
		}
		o.book.note(p, req)
		if !(&answer{plan: p, book: o.book, req: req, tcp: tcp, c: c}).give() {
			return
		}
	}
}
