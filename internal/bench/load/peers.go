package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	hertzclient "github.com/cloudwego/hertz/pkg/app/client"
	"github.com/cloudwego/hertz/pkg/network/standard"
	"github.com/cloudwego/hertz/pkg/protocol"
	"github.com/valyala/fasthttp"

	"github.com/watertight-go/watertight/internal/bench"
	"github.com/watertight-go/watertight/transport"
)

// do makes one request and reads its response whole.
type do func() error

// A target is what a client is to do, and where.
type target struct {
	Subject     string
	Scene       scene
	Addr        string
	Certificate string
}

func (t target) url() string {
	return map[bool]string{false: "http://", true: "https://"}[t.Scene.HTTPS] + t.Addr + t.Scene.Kind.Path
}

// subjects are who is measured: each returns what makes a request, and what closes its connections.
var subjects = map[string]func(t target) (do, func()){
	"floor": floor,
	"watertight": func(t target) (do, func()) {
		tr := &transport.Transport{TLSClientConfig: t.config(), DialContext: t.dialer(), ForceAttemptHTTP2: t.Scene.HTTP2}
		return roundTrips(t, tr), func() { _ = tr.Close() }
	},
	"in http.Client{}": func(t target) (do, func()) {
		tr := &transport.Transport{TLSClientConfig: t.config(), DialContext: t.dialer()}
		return roundTrips(t, struct{ http.RoundTripper }{tr}), func() { _ = tr.Close() }
	},
	"net/http": func(t target) (do, func()) {
		tr := &http.Transport{TLSClientConfig: t.config(), DialContext: t.dialer(), MaxIdleConnsPerHost: 1024 + t.Scene.Idle, ForceAttemptHTTP2: t.Scene.HTTP2}
		return roundTrips(t, tr), tr.CloseIdleConnections
	},
	"fasthttp":          func(t target) (do, func()) { return fast(t, false) },
	"fasthttp streamed": func(t target) (do, func()) { return fast(t, true) },
	"hertz":             hertz,
}

// roundTrips makes requests as programs do that know what they cost: a request whose response was read is used once more. Through an
// http.Client each is a fresh one, as most people have it.
func roundTrips(t target, rt http.RoundTripper) do {
	urls := t.urls()
	upload := make([]byte, t.Scene.Kind.Upload)
	send := rt.RoundTrip
	if t.Scene.Client {
		send = withTimeout(rt).Do
	}
	keepIdle(rt, t, urls)
	var turn atomic.Uint64
	used := make([]sync.Pool, len(urls))
	return func() error {
		i := turn.Add(1) % uint64(len(urls))
		req, _ := used[i].Get().(*http.Request)
		if req == nil {
			method := http.MethodGet
			if len(upload) > 0 {
				method = http.MethodPost
			}
			var err error
			if req, err = http.NewRequestWithContext(context.Background(), method, urls[i], nil); err != nil {
				return err
			}
		}
		if len(upload) > 0 {
			req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(upload)), int64(len(upload))
		}
		resp, err := send(req)
		if err != nil {
			return err
		}
		n, err := io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		if !t.Scene.Client {
			used[i].Put(req)
		}
		return t.check(int(n), err)
	}
}

// withTimeout returns a client with a time limit for each request, as most programs have it.
func withTimeout(rt http.RoundTripper) *http.Client {
	if tr, ok := rt.(*transport.Transport); ok {
		return tr.Client(time.Minute)
	}
	return &http.Client{Transport: rt, Timeout: time.Minute}
}

// urls returns what is asked in turn. Origins beyond the server's own are names, and dialer knows where they are.
func (t target) urls() (urls []string) {
	if t.Scene.Origins == 0 {
		return []string{t.url()}
	}
	for i := range t.Scene.Origins {
		urls = append(urls, fmt.Sprintf("http://origin-%d.example%s", i, t.Scene.Kind.Path))
	}
	return urls
}

// dialer dials the server, whatever the origin is called.
func (t target) dialer() func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, t.Addr)
	}
}

// keepIdle opens the connections that are to be idle: to one origin by as many requests whose bodies are read later, to each of many
// by one.
func keepIdle(rt http.RoundTripper, t target, urls []string) {
	var open []*http.Response
	finish := func() {
		for _, resp := range open {
			must(io.Copy(io.Discard, resp.Body))
			_ = resp.Body.Close()
		}
		open = nil
	}
	get := func(url string) {
		resp, err := rt.RoundTrip(must(http.NewRequest(http.MethodGet, url, nil)))
		open = append(open, must(resp, err))
	}
	for range t.Scene.Idle {
		get("http://" + t.Addr + "/65536")
	}
	finish()
	if t.Scene.Origins > 0 {
		for _, url := range urls {
			get(url)
			finish()
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func (t target) check(n int, err error) error {
	if err == nil && n != t.Scene.Kind.Answer {
		err = fmt.Errorf("%d bytes instead of %d", n, t.Scene.Kind.Answer)
	}
	return err
}

func fast(t target, streamed bool) (do, func()) {
	c := &fasthttp.HostClient{
		Addr: t.Addr, IsTLS: t.Scene.HTTPS, TLSConfig: t.config(), MaxConns: 1024, StreamResponseBody: streamed,
		MaxIdleConnDuration: time.Minute,
	}
	url := t.url()
	upload := make([]byte, t.Scene.Kind.Upload)
	return func() error {
		req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
		defer fasthttp.ReleaseRequest(req)
		defer fasthttp.ReleaseResponse(resp)
		req.SetRequestURI(url)
		if len(upload) > 0 {
			req.Header.SetMethod(fasthttp.MethodPost)
			req.SetBodyRaw(upload)
		}
		if err := c.Do(req, resp); err != nil {
			return err
		}
		if stream := resp.BodyStream(); streamed && stream != nil {
			n, err := io.Copy(io.Discard, stream)
			return t.check(int(n), err)
		}
		return t.check(len(resp.Body()), nil)
	}, c.CloseIdleConnections
}

func hertz(t target) (do, func()) {
	c, err := hertzclient.NewClient(hertzclient.WithDialer(standard.NewDialer()), hertzclient.WithTLSConfig(t.config()), hertzclient.WithMaxConnsPerHost(1024))
	if err != nil {
		return func() error { return err }, func() {}
	}
	url := t.url()
	upload := make([]byte, t.Scene.Kind.Upload)
	return func() error {
		req, resp := protocol.AcquireRequest(), protocol.AcquireResponse()
		defer protocol.ReleaseRequest(req)
		defer protocol.ReleaseResponse(resp)
		req.SetRequestURI(url)
		if len(upload) > 0 {
			req.SetMethod(http.MethodPost)
			req.SetBodyRaw(upload)
		}
		if err := c.Do(context.Background(), req, resp); err != nil {
			return err
		}
		return t.check(len(resp.Body()), nil)
	}, c.CloseIdleConnections
}

func (t target) config() *tls.Config {
	if !t.Scene.HTTPS {
		return nil
	}
	return bench.Trust(t.Certificate)
}
