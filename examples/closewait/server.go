package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"
)

const roleServer = "server"

// idleTime is how long the servers keep an idle connection: a load balancer's 60 s, shortened.
const idleTime = time.Second

// largeBody is more than the buffers of both sockets hold: a client that does not read it stalls its server.
const largeBody = 32 << 20

// addresses are what the server's process tells its parent.
type addresses struct{ Small, Large, Slow string }

// serve runs the servers until stdin ends, so that they never outlive who started them.
func serve(stdin io.Reader, stdout io.Writer) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	small := strings.Repeat("Every byte has a price. ", 20)
	mux.HandleFunc("/small", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, small) })
	mux.HandleFunc("/large", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(largeBody))
		block := make([]byte, 64<<10)
		for n := 0; n < largeBody; n += len(block) {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	})
	mux.HandleFunc("/slow", func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(5 * time.Second):
		case <-r.Context().Done():
		}
	})
	// ReadHeaderTimeout is for connections that were opened for a request that gave up, and never used.
	server := &http.Server{Handler: mux, IdleTimeout: idleTime, ReadHeaderTimeout: idleTime}
	go func() { _ = server.Serve(l) }()
	base := "http://" + l.Addr().String()
	if err := json.NewEncoder(stdout).Encode(addresses{base + "/small", base + "/large", base + "/slow"}); err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, stdin)
	return server.Close()
}

// A serverProcess is a child that serves.
type serverProcess struct {
	small, large, slow string
	child              *child
}

func startServer() (*serverProcess, error) {
	c, err := startChild(roleServer)
	if err != nil {
		return nil, err
	}
	var a addresses
	if err := c.receive(&a); err != nil {
		c.stop()
		return nil, err
	}
	return &serverProcess{a.Small, a.Large, a.Slow, c}, nil
}

func (s *serverProcess) stop() { s.child.stop() }

// A child is a process of this program that speaks JSON lines on its standard streams and ends with its standard input.
type child struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func startChild(role string) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), roleVariable+"="+role)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &child{cmd, in, bufio.NewReader(out)}, nil
}

func (c *child) send(v any) error { return json.NewEncoder(c.in).Encode(v) }

func (c *child) receive(v any) error {
	line, err := c.out.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("the process ended early: %w", err)
	}
	return json.Unmarshal(line, v)
}

func (c *child) stop() {
	_ = c.in.Close()
	_ = c.cmd.Wait()
}
