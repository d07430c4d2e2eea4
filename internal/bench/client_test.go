package bench_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/watertight-go/watertight/internal/bench"
	"github.com/watertight-go/watertight/internal/bench/process"
	"github.com/watertight-go/watertight/transport"
)

// A subject is what is measured: begin makes a request to a host, and what it returns reads the response to its end.
type subject func(target, *tls.Config) (begin func(addr string) (finish func() error))

// A target is where a client's requests go.
type target struct {
	Subject     string
	Addrs       []string
	HTTPS       bool
	Certificate string
}

func (t target) url(addr string) string {
	if t.HTTPS {
		return "https://" + addr + "/"
	}
	return "http://" + addr + "/"
}

var subjects = map[string]subject{
	"watertight": func(t target, cfg *tls.Config) func(string) func() error {
		return roundTrips(&transport.Transport{TLSClientConfig: cfg, IdleConnTimeout: time.Hour}, t)
	},
	"net-http": func(t target, cfg *tls.Config) func(string) func() error {
		return roundTrips(&http.Transport{TLSClientConfig: cfg, IdleConnTimeout: time.Hour, MaxIdleConnsPerHost: 1 << 20}, t)
	},
	"fasthttp": func(t target, cfg *tls.Config) func(string) func() error {
		c := &fasthttp.Client{
			TLSConfig: cfg, MaxConnsPerHost: 1 << 20, MaxIdleConnDuration: time.Hour,
			Dial: func(addr string) (net.Conn, error) { return fasthttp.DialTimeout(addr, time.Minute) },
		}
		return func(addr string) func() error {
			// It reads the body before it returns: a goroutine waits with each.
			done := make(chan error, 1)
			go func() {
				req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
				defer fasthttp.ReleaseRequest(req)
				defer fasthttp.ReleaseResponse(resp)
				req.SetRequestURI(t.url(addr))
				done <- c.Do(req, resp)
			}()
			return func() error { return <-done }
		}
	},
	"bare": func(t target, cfg *tls.Config) func(string) func() error {
		var kept []net.Conn
		return func(addr string) func() error {
			nc, err := net.Dial("tcp", addr)
			if err != nil {
				return func() error { return err }
			}
			if t.HTTPS {
				nc = tls.Client(nc, cfg)
			}
			kept = append(kept, nc)
			_, err = io.WriteString(nc, "GET / HTTP/1.1\r\n\r\n")
			return func() error {
				if err == nil {
					var b [len(response)]byte
					_, err = io.ReadFull(nc, b[:])
				}
				return err
			}
		}
	},
}

func roundTrips(rt http.RoundTripper, t target) func(string) func() error {
	return func(addr string) func() error {
		req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, t.url(addr), nil)
		var resp *http.Response
		if err == nil {
			resp, err = rt.RoundTrip(req)
		}
		return func() error {
			if err != nil {
				return err
			}
			_, err = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			return err
		}
	}
}

// usage is what a client's process needs.
type usage struct {
	RSS        int64 // bytes
	Goroutines int
	GC         time.Duration // of CPU that one collection needs
}

// client plays one subject: "begin N" makes N requests one after the other, the next time to another host, "finish" reads their
// responses, "usage" tells what the process needs now.
func client(args string) process.Role {
	return func(in *bufio.Scanner, out io.Writer) error {
		var t target
		if err := json.Unmarshal([]byte(args), &t); err != nil {
			return err
		}
		var cfg *tls.Config
		if t.HTTPS {
			cfg = bench.Trust(t.Certificate)
		}
		begin := subjects[t.Subject](t, cfg)
		var begun []func() error
		times := 0
		for in.Scan() {
			command, arg, _ := strings.Cut(in.Text(), " ")
			var answer any
			var err error
			switch command {
			case "begin":
				var n int
				n, err = strconv.Atoi(arg)
				for range n {
					begun = append(begun, begin(t.Addrs[times%len(t.Addrs)]))
				}
				times++
			case "finish":
				for _, finish := range begun {
					err = errors.Join(err, finish())
				}
				begun = nil
			case "usage":
				answer, err = measure()
			default:
				err = fmt.Errorf("unknown command %q", in.Text())
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

func measure() (usage, error) {
	const collections = 10
	before := gcTime()
	for range collections {
		runtime.GC()
	}
	collected := (gcTime() - before) / collections
	for range 3 {
		debug.FreeOSMemory()
	}
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return usage{}, err
	}
	pages, err := strconv.ParseInt(strings.Fields(string(b))[1], 10, 64)
	return usage{RSS: pages * int64(os.Getpagesize()), Goroutines: runtime.NumGoroutine(), GC: collected}, err
}

// gcTime returns the CPU time that collections have taken.
func gcTime() time.Duration {
	s := []metrics.Sample{{Name: "/cpu/classes/gc/total:cpu-seconds"}}
	metrics.Read(s)
	return time.Duration(s[0].Value.Float64() * float64(time.Second))
}
