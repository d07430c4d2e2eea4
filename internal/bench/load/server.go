package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"

	"github.com/watertight-go/watertight/internal/bench"
	"github.com/watertight-go/watertight/internal/bench/process"
)

// addresses is where the server listens.
type addresses struct {
	HTTP, HTTPS, HTTP2 string
	Certificate        string // PEM
}

// server answers requests as fast as it can: it looks at the path and the length of the body, and at nothing else. Its one command
// is "addresses". HTTP/2 is left to net/http's server.
func server(string) process.Role {
	return func(in *bufio.Scanner, out io.Writer) error {
		certificates, block := bench.Certificate()
		plain, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		secure, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: certificates})
		if err != nil {
			return err
		}
		multiplexed, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		go accept(plain)
		go accept(secure)
		go serveHTTP2(multiplexed, certificates)
		at := addresses{plain.Addr().String(), secure.Addr().String(), multiplexed.Addr().String(), block}
		for in.Scan() {
			if err := process.Answer(out, at); err != nil {
				return err
			}
		}
		return in.Err()
	}
}

func serveHTTP2(l net.Listener, certificates []tls.Certificate) {
	answers := map[string][]byte{}
	for _, k := range kinds {
		answers[k.Path] = bytes.Repeat([]byte("w"), k.Answer)
	}
	server := &http.Server{
		TLSConfig: &tls.Config{Certificates: certificates},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			body := answers[r.URL.Path]
			w.Header().Set("Content-Type", "text/plain")
			if r.URL.Path == "/chunked" { // the server would set a Content-Length if it saw the end of what it has yet to send
				half := len(body) / 2
				_, _ = w.Write(body[:half])
				_ = http.NewResponseController(w).Flush()
				body = body[half:]
			} else {
				w.Header().Set("Content-Length", strconv.Itoa(len(body)))
			}
			_, _ = w.Write(body)
		}),
	}
	_ = server.ServeTLS(l, "", "")
}

func accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			r := bufio.NewReaderSize(c, 64<<10)
			for serveOne(r, c) == nil {
			}
		}()
	}
}

func serveOne(r *bufio.Reader, w io.Writer) error {
	var response []byte
	length := 0
	for first := true; ; first = false {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		line = bytes.TrimRight(line, "\r\n")
		if first {
			_, path, _ := bytes.Cut(line, []byte(" "))
			path, _, _ = bytes.Cut(path, []byte(" "))
			response = responses[string(path)]
			continue
		}
		if len(line) == 0 {
			break
		}
		if name, value, ok := bytes.Cut(line, []byte(": ")); ok && bytes.EqualFold(name, []byte("Content-Length")) {
			if length, err = strconv.Atoi(string(value)); err != nil {
				return err
			}
		}
	}
	if response == nil {
		return fmt.Errorf("unknown path")
	}
	if _, err := r.Discard(length); err != nil {
		return err
	}
	_, err := w.Write(response)
	return err
}
