package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/watertight-go/watertight/examples/histories/replays/internal/history"
	"github.com/watertight-go/watertight/transport"
)

// fast is the name of the client of history.
const fast = "fasthttp v1.59.0"

// The acts of the replay.
const (
	actStorm = "storm" // requests time out just before their answers come
	actSlip  = "slip"  // an idle timeout of 30 nanoseconds
	actNever = "never" // nobody ever answers
)

// A job is what a client's process does.
type job struct {
	Client, Act, Base string
	Length            time.Duration // of the storm
}

// An outcome is what a client's process counted.
type outcome struct {
	Requests, TimedOut, Dials int64
	Error                     string // the first that was no timeout
}

const (
	workers = 40  // of the storm
	quick   = 100 // requests with the slip
	crowd   = 600 // requests at once that nobody answers
	salvage = time.Second

	neverTimeout = time.Second // enough for all to be connected: a dial that outlives its request is another matter
)

// request is the client's process.
func request(p *history.Peer) error {
	c := &client{}
	if err := p.Receive(&c.job); err != nil {
		return err
	}
	send := c.sender()
	switch c.Act {
	case actSlip:
		for range quick {
			c.note(send("/quick", time.Second))
			time.Sleep(2 * time.Millisecond) // the idle time that is to be survived
		}
	case actStorm:
		var wg sync.WaitGroup
		end := time.Now().Add(c.Length)
		for range workers {
			wg.Go(func() {
				for time.Now().Before(end) {
					c.note(send("/slow", timeout))
					time.Sleep(timeout)
				}
			})
		}
		wg.Wait()
	case actNever:
		var wg sync.WaitGroup
		for range crowd {
			wg.Go(func() { c.note(send("/never", neverTimeout)) })
		}
		wg.Wait()
	}
	if err := p.Send(c.outcome()); err != nil {
		return err
	}
	return p.Wait()
}

// A client counts what it does.
type client struct {
	job
	requests, timedOut, dials atomic.Int64
	failed                    atomic.Pointer[string]
}

func (c *client) note(timedOut bool, err error) {
	c.requests.Add(1)
	if timedOut {
		c.timedOut.Add(1)
	} else if err != nil {
		text := err.Error()
		c.failed.CompareAndSwap(nil, &text)
	}
}

func (c *client) outcome() outcome {
	o := outcome{Requests: c.requests.Load(), TimedOut: c.timedOut.Load(), Dials: c.dials.Load()}
	if text := c.failed.Load(); text != nil {
		o.Error = *text
	}
	return o
}

// A sender makes a request and reports whether it timed out.
type sender func(path string, timeout time.Duration) (timedOut bool, err error)

// sender returns the client that the job asks for, with the settings of its act.
func (c *client) sender() sender {
	slip := c.Act == actSlip
	switch c.Client {
	case fast:
		return c.fasthttp(slip)
	case history.Ours:
		t := transport.New()
		t.Proxy, t.DialContext, t.MaxIdleConns, t.SalvageTimeout = nil, c.dial, 0, salvage
		if slip {
			t.IdleConnTimeout = 30
		}
		return c.through(t)
	}
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.Proxy, t.DialContext, t.MaxIdleConns, t.MaxIdleConnsPerHost = nil, c.dial, 0, crowd
	if slip {
		t.IdleConnTimeout = 30
	}
	return c.through(t)
}

func (c *client) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	c.dials.Add(1)
	return new(net.Dialer).DialContext(ctx, network, addr)
}

// through sends requests through a transport.
func (c *client) through(rt http.RoundTripper) sender {
	return func(path string, timeout time.Duration) (bool, error) {
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.Base+path, nil)
		if err != nil {
			return false, err
		}
		resp, err := rt.RoundTrip(req)
		if err != nil {
			return ctx.Err() != nil, err
		}
		defer func() { _ = resp.Body.Close() }()
		_, err = io.Copy(io.Discard, resp.Body)
		return err != nil && ctx.Err() != nil, err
	}
}

// fasthttp sends requests with the settings that history had.
func (c *client) fasthttp(slip bool) sender {
	client := &fasthttp.Client{
		ReadTimeout:     5 * time.Second,
		WriteTimeout:    5 * time.Second,
		MaxConnsPerHost: 65535,
		Dial: func(addr string) (net.Conn, error) {
			return c.dial(context.Background(), "tcp", addr)
		},
	}
	if slip {
		client.MaxIdleConnDuration = 30
	}
	return func(path string, timeout time.Duration) (bool, error) {
		req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
		defer fasthttp.ReleaseRequest(req)
		defer fasthttp.ReleaseResponse(resp)
		req.SetRequestURI(c.Base + path)
		err := client.DoTimeout(req, resp, timeout)
		return errors.Is(err, fasthttp.ErrTimeout), err
	}
}
