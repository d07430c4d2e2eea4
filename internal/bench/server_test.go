package bench_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"

	"github.com/watertight-go/watertight/internal/bench"
	"github.com/watertight-go/watertight/internal/bench/process"
)

// A rawServer answers every request with the same bytes, until it is told to hang up.
type rawServer struct {
	serving sync.WaitGroup // goroutines of serve

	mu    sync.Mutex // guards the fields below
	conns map[net.Conn]bool
	held  int           // requests since hold
	wait  chan struct{} // nil: answer at once
}

const response = "HTTP/1.1 200 OK\r\nContent-Length: 13\r\nContent-Type: text/plain\r\n\r\nHello, World!"

// cut is where a response that waits is cut: clients have the head and are busy with the body.
const cut = len(response) - 8

// addresses is the answer to "addresses".
type addresses struct {
	HTTP, HTTPS []string // one a host
	Certificate string   // PEM
}

func server(string) process.Role {
	return func(in *bufio.Scanner, out io.Writer) error {
		certificates, block := bench.Certificate()
		s := &rawServer{conns: map[net.Conn]bool{}}
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
			var err error
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
				answer, err = s.hangUp(true)
			case "hang up one by one":
				answer, err = s.hangUp(false)
			default:
				return fmt.Errorf("unknown command %q", in.Text())
			}
			if err == nil {
				err = process.Answer(out, answer)
			}
			if err != nil {
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
		s.serving.Add(1)
		go s.serve(c)
	}
}

// serve answers requests until the client is gone, or until hangUp takes over.
func (s *rawServer) serve(c net.Conn) {
	defer s.serving.Done()
	s.mu.Lock()
	s.conns[c] = true
	s.mu.Unlock()
	if err := s.answer(c); errors.Is(err, os.ErrDeadlineExceeded) {
		return
	}
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	_ = c.Close()
}

func (s *rawServer) answer(c net.Conn) error {
	var buf [2048]byte
	n := 0
	for {
		m, err := c.Read(buf[n:])
		if err != nil {
			return err
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
			return err
		}
		if wait != nil {
			<-wait
		}
		if _, err := io.WriteString(c, response[cut:]); err != nil {
			return err
		}
	}
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
