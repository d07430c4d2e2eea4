package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"runtime"
	"sync"
	"time"

	"github.com/watertight-go/watertight/examples/histories/replays/internal/history"
	"github.com/watertight-go/watertight/transport"
)

// The acts of the replay.
const (
	actForgotten = "forgotten" // the bodies are dropped, and the server hangs up
	actHeld      = "held"      // the program still has the bodies, and the server is there
	actRemedy    = "remedy"    // most connections have leaked, the others carry downloads, and the pool must be freed
)

// A job is what a client's process does.
type job struct {
	Transport, Act, Base     string
	Limit, Callers, Download int           // connections, requests that come when all are leased, downloads among the leased
	Patience                 time.Duration // how long callers are watched
	Pause                    time.Duration // between the parts of a download
	Brute                    time.Duration // after so much waiting the whole pool is thrown away; 0: never
}

// A message is what the client's process says: that all is leased, and then how it ended.
type message struct {
	Leased bool
	outcome
}

// An outcome is what became of the callers, and of the downloads.
type outcome struct {
	Served        int           // of the callers
	First         time.Duration // how long the first of the callers took
	Slowest       time.Duration
	Error         string // of one who was not served
	Holders       int    // that the error names
	Youngest      time.Duration
	Lines         map[string]int // where the holders' requests were made
	Survived      int            // of the downloads
	DownloadError string
	Leaks         int64 // that were reported
}

// request is the client's process.
func request(p *history.Peer) error {
	var j job
	if err := p.Receive(&j); err != nil {
		return err
	}
	s := &service{job: j}
	s.reset()
	held, err := s.leaseAll()
	if err != nil {
		return err
	}
	downloads := s.download()
	if err := p.Send(message{Leased: true}); err != nil {
		return err
	}
	var begin string
	if err := p.Receive(&begin); err != nil { // the parent has seen what the kernel says
		return err
	}
	o := s.queue()
	runtime.KeepAlive(held)
	downloads.Wait()
	o.Survived, o.DownloadError = s.survived, s.downloadError
	if t, ok := s.current().(*transport.Transport); ok {
		for _, n := range t.Stats().Leaks {
			o.Leaks += n
		}
	}
	if err := p.Send(message{outcome: o}); err != nil {
		return err
	}
	return p.Wait()
}

// A service is the program that leaks.
type service struct {
	job

	mu            sync.Mutex // guards the fields below
	rt            http.RoundTripper
	conns         map[net.Conn]bool
	survived      int
	downloadError string
}

// reset makes a new pool, and throws the old one away with every connection it had.
func (s *service) reset() {
	s.mu.Lock()
	old := s.conns
	s.conns = map[net.Conn]bool{}
	if s.Transport == history.Ours {
		t := transport.New()
		t.MaxConnsPerHost, t.OnLeak = s.Limit, func(transport.Leak) {}
		if s.Act == actHeld {
			t.AcquireTimeout, t.RecordStacks = acquireTimeout, true
		}
		s.rt = t
	} else {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.MaxConnsPerHost, t.DialContext = s.Limit, s.dial
		s.rt = t
	}
	s.mu.Unlock()
	for nc := range old {
		_ = nc.Close()
	}
}

func (s *service) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	nc, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err == nil {
		s.mu.Lock()
		s.conns[nc] = true
		s.mu.Unlock()
	}
	return nc, err
}

func (s *service) current() http.RoundTripper {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rt
}

func (s *service) client() *http.Client { return &http.Client{Transport: s.current()} }

// leaseAll makes the requests whose bodies nobody closes, and returns the responses that the program keeps.
func (s *service) leaseAll() (held []*http.Response, err error) {
	var wg sync.WaitGroup
	for range leasers {
		wg.Go(func() {
			for range (s.Limit - s.Download) / leasers {
				resp, failed := s.lease()
				s.mu.Lock()
				if failed != nil {
					err = failed
				} else if s.Act == actHeld {
					held = append(held, resp)
				}
				s.mu.Unlock()
			}
		})
	}
	wg.Wait()
	return held, err
}

// leasers is how many requests are made at once; it divides what is leased.
const leasers = 20

// lease looks at the status and forgets the body, unless its caller keeps it.
func (s *service) lease() (*http.Response, error) {
	if s.Act == actForgotten {
		return s.client().Get(s.Base + "/report")
	}
	return s.client().Get(s.Base + "/archive")
}

// download starts the downloads and returns when all have begun.
func (s *service) download() *sync.WaitGroup {
	var begun, done sync.WaitGroup
	client := s.client()
	for range s.Download {
		begun.Add(1)
		done.Go(func() {
			resp, err := client.Get(s.Base + "/download?pause=" + s.Pause.String())
			begun.Done()
			if err == nil {
				_, err = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			if err == nil {
				s.survived++
			} else {
				s.downloadError = err.Error()
			}
		})
	}
	begun.Wait()
	return &done
}
