package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/watertight-go/watertight/transport"
)

// acquireTimeout is how long callers of ours wait where bodies are truly held.
const acquireTimeout = 500 * time.Millisecond

// queue is what the service's callers meet once everything is leased. It returns when all are served, or after Patience.
func (s *service) queue() (o outcome) {
	ctx, cancel := context.WithTimeout(context.Background(), s.Patience)
	defer cancel()
	if s.Brute > 0 {
		remedy := time.AfterFunc(s.Brute, s.reset)
		defer remedy.Stop()
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range s.Callers {
		wg.Go(func() {
			start := time.Now()
			err := s.call(ctx)
			took := time.Since(start)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				o.note(err)
				return
			}
			o.Served++
			o.Slowest = max(o.Slowest, took)
			if o.Served == 1 {
				o.First = took
			}
		})
	}
	wg.Wait()
	return o
}

// call is one caller's request. When the pool is thrown away under it, it starts again.
func (s *service) call(ctx context.Context) error {
	if s.Brute == 0 {
		return get(ctx, s.current(), s.Base+"/ping")
	}
	for {
		once, cancel := context.WithTimeout(ctx, s.Brute+s.Brute/2)
		err := get(once, s.current(), s.Base+"/ping")
		cancel()
		if err == nil || ctx.Err() != nil {
			return err
		}
	}
}

// get makes a request as it should be made.
func get(ctx context.Context, rt http.RoundTripper, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := (&http.Client{Transport: rt}).Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

// note keeps what a caller learns who is not served.
func (o *outcome) note(err error) {
	o.Error = err.Error()
	var ae *transport.AcquireError
	if !errors.As(err, &ae) {
		return
	}
	o.Holders, o.Lines = len(ae.Holders), map[string]int{}
	for i, h := range ae.Holders {
		line, _, _ := strings.Cut(h.Stack, "\n")
		o.Lines[line]++
		if i == 0 || h.Age < o.Youngest {
			o.Youngest = h.Age
		}
	}
}
