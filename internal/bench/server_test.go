package bench_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/watertight-go/watertight/internal/bench"
	"github.com/watertight-go/watertight/internal/bench/process"
)

// A rawServer answers every request with the same bytes. When it is told to hang up it does so, and sees how long each client
// takes to close its side.
type rawServer struct {
	mu    sync.Mutex
	conns map[net.Conn]*peer
	held  int           // requests since hold
	wait  chan struct{} // nil: answer at once
}

// A peer is a connection of a client.
type peer struct {
	hungUp time.Time
	gone   chan time.Duration
}

const response = "HTTP/1.1 200 OK\r\nContent-Length: 13\r\nContent-Type: text/plain\r\n\r\nHello, World!"

// cut is where a response that waits is cut: clients have the head and are busy with the body.
const cut = len(response) - 8

// addresses is the answer to "addresses".
type addresses struct {
	HTTP, HTTPS []string // one a host
	Certificate string   // PEM
}

// latencies is the answer to "hang up".
type latencies struct {
	P50, P99 time.Duration
	Left     int // connections whose client had not closed after 5 s
}

func server(string) process.Role {
	return func(in *bufio.Scanner, out io.Writer) error {
		certificates, block := bench.Certificate()
		s := &rawServer{conns: map[net.Conn]*peer{}}
		plain, err := s.listen(nil)
		if err != nil {
			return err
		}
		secure, err := s.listen(&tls.Config{Certificates: certificates})
		if err != nil {
			return err
		}
		for in.Scan() {
			var answer any
			switch in.Text() {
			case "addresses":
				answer = addresses{HTTP: plain, HTTPS: secure, Certificate: block}
			case "hold":
				s.hold()
			case "held":
				answer = s.howMany()
			case "go":
				s.proceed()
			case "hang up":
				answer = s.hangUp(true)
			case "hang up one by one":
				answer = s.hangUp(false)
			default:
				return fmt.Errorf("unknown command %q", in.Text())
			}
			if err := process.Answer(out, answer); err != nil {
				return err
			}
		}
		return in.Err()
	}
}

// hosts is how many addresses of the loopback interface the server has.
const hosts = 100

// listen accepts connections on one port of all hosts.
func (s *rawServer) listen(cfg *tls.Config) (addrs []string, err error) {
	port := 0
	for i := range hosts {
		l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(i+1)), Port: port})
		if err != nil {
			return nil, err
		}
		port = l.Addr().(*net.TCPAddr).Port
		addrs = append(addrs, l.Addr().String())
		if cfg == nil {
			go s.accept(l)
		} else {
			go s.accept(tls.NewListener(l, cfg))
		}
	}
	return addrs, nil
}

func (s *rawServer) accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go s.serve(c)
	}
}

func (s *rawServer) serve(c net.Conn) {
	p := &peer{gone: make(chan time.Duration, 1)}
	s.mu.Lock()
	s.conns[c] = p
	s.mu.Unlock()
	var buf [2048]byte
	n := 0
	for {
		m, err := c.Read(buf[n:])
		if err != nil {
			break
		}
		if n += m; !bytes.HasSuffix(buf[:n], []byte("\r\n\r\n")) {
			continue
		}
		n = 0
		s.mu.Lock()
		s.held++
		wait := s.wait
		s.mu.Unlock()
		if _, err := io.WriteString(c, response[:cut]); err != nil {
			break
		}
		if wait != nil {
			<-wait
		}
		if _, err := io.WriteString(c, response[cut:]); err != nil {
			break
		}
	}
	s.mu.Lock()
	if !p.hungUp.IsZero() {
		p.gone <- time.Since(p.hungUp)
	}
	delete(s.conns, c)
	s.mu.Unlock()
	_ = c.Close()
}

// hold makes responses wait before their end, so that each needs a connection of its own.
func (s *rawServer) hold() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held, s.wait = 0, make(chan struct{})
}

func (s *rawServer) howMany() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held
}

func (s *rawServer) proceed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.wait)
	s.wait = nil
}

// hangUp ends our direction of every connection, all at once or each when the client has closed the one before.
func (s *rawServer) hangUp(atOnce bool) latencies {
	s.mu.Lock()
	conns := make([]net.Conn, 0, len(s.conns))
	peers := make([]*peer, 0, len(s.conns))
	for c, p := range s.conns {
		conns, peers = append(conns, c), append(peers, p)
	}
	s.mu.Unlock()
	var took []time.Duration
	left := 0
	deadline := time.After(time.Minute)
	collect := func(p *peer) {
		select {
		case d := <-p.gone:
			took = append(took, d)
		case <-time.After(5 * time.Second):
			left++
		case <-deadline:
			left++
		}
	}
	for i, c := range conns {
		s.mu.Lock()
		peers[i].hungUp = time.Now()
		s.mu.Unlock()
		_ = fin(c)
		if !atOnce {
			collect(peers[i])
		}
	}
	if atOnce {
		for _, p := range peers {
			collect(p)
			if left > 0 {
				left = len(peers) - len(took)
				break
			}
		}
	}
	slices.Sort(took)
	l := latencies{Left: left}
	if n := len(took); n > 0 {
		l.P50, l.P99 = took[n/2], took[n*99/100]
	}
	return l
}

// fin ends our direction, beneath TLS too.
func fin(c net.Conn) error {
	if tc, ok := c.(*tls.Conn); ok {
		return errors.Join(tc.CloseWrite(), tc.NetConn().(*net.TCPConn).CloseWrite())
	}
	return c.(*net.TCPConn).CloseWrite()
}
