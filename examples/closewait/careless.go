package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/watertight-go/watertight/transport"
)

const roleClient = "client"

// The transports, by name.
const (
	std  = "http.Transport"
	ours = "transport.Transport"
)

// A job is what a client process does.
type job struct {
	Transport          string
	Requests           int
	Concurrency        int
	Small, Large, Slow string // URLs
	CloseIdle          bool   // at the end: whoever serves may keep idle connections for minutes
}

// A message is a line from a client process to its parent: progress, or at last its own figures.
type message struct {
	Ready bool // to be counted for the first time
	Phase string
	Done  int
	Final *figures
}

// figures are what a client process counts of itself; its sockets and descriptors are counted from outside.
type figures struct {
	Dials       int64          `json:"connections_opened"`
	Errors      map[string]int `json:"errors"` // by kind
	Goroutines  int            `json:"goroutines_above_start"`
	HeapBytes   uint64         `json:"heap_bytes"`
	Collections uint32         `json:"garbage_collections"`
	Leaks       int64          `json:"leaks_reported"`
	LeakedAt    []place        `json:"leaked_at"` // the most frequent first
}

// A place is a line of the program that leaked bodies.
type place struct {
	Line  string `json:"line"`
	Count int    `json:"count"`
}

// What happens after the careless requests, the same for both: the program goes on with careful ones, then rests.
const (
	carefulTime = 4 * time.Second
	restTime    = 3 * idleTime
)

// beCareless is the client process: it reads its job, does it, tells its figures, and stays until its standard input
// ends, to be looked at from outside.
func beCareless(stdin io.Reader, stdout io.Writer) error {
	in := bufio.NewReader(stdin)
	line, err := in.ReadBytes('\n')
	if err != nil {
		return err
	}
	var j job
	if err := json.Unmarshal(line, &j); err != nil {
		return err
	}
	out := json.NewEncoder(stdout)
	p := newProgram(j)
	if err := warmUp(); err != nil {
		return err
	}
	start := runtime.NumGoroutine()
	if err := out.Encode(message{Ready: true}); err != nil {
		return err
	}

	p.misbehave(func(done int) { _ = out.Encode(message{Phase: "careless requests", Done: done}) })
	_ = out.Encode(message{Phase: "careful requests"})
	p.behave(carefulTime)
	_ = out.Encode(message{Phase: "at rest"})
	time.Sleep(restTime) // nothing is waited for: this is the idle time of a service at night

	if j.CloseIdle {
		p.client.CloseIdleConnections()
		time.Sleep(idleTime) // each is closed in a goroutine of its own
	}
	f := p.figures()
	f.Goroutines = runtime.NumGoroutine() - start
	if err := out.Encode(message{Final: &f}); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, in)
	return err
}

// warmUp makes Go's runtime open the descriptors of its own poller.
func warmUp() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	return l.Close()
}

// A program is the careless program. It knows nothing of which transport it runs on.
type program struct {
	job
	client http.Client
	dials  atomic.Int64

	mu     sync.Mutex
	errors map[string]int
	leaks  map[string]int
	leaked int64
}

func newProgram(j job) *program {
	p := &program{job: j, errors: map[string]int{}, leaks: map[string]int{}}
	if j.Transport == ours {
		t := transport.New()
		t.DialContext, t.OnLeak = p.dial, p.leak
		t.RecordStacks = true // to name the line of the first leak as well
		p.client.Transport = t
	} else {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.DialContext = p.dial
		p.client.Transport = t
	}
	return p
}

func (p *program) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	p.dials.Add(1)
	return new(net.Dialer).DialContext(ctx, network, addr)
}

// leak notes where the body that leaked was opened.
func (p *program) leak(l transport.Leak) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leaked++
	if line, _, _ := strings.Cut(l.Stack, "\n"); line != "" {
		p.leaks[line]++
	}
}

// misbehave makes the careless requests.
func (p *program) misbehave(progress func(done int)) {
	var next, done atomic.Int64
	var wg sync.WaitGroup
	for range p.Concurrency {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(p.Requests); i = next.Add(1) {
				p.mistake(int(i))
				if n := done.Add(1); n%20 == 0 {
					p.mu.Lock()
					progress(int(n))
					p.mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
}

// mistake makes one of the usual ones.
func (p *program) mistake(i int) {
	switch i % 5 {
	case 0:
		p.forgetSmall()
	case 1:
		p.forgetLarge()
	case 2:
		p.closeEarly()
	case 3:
		p.abandon()
	case 4:
		p.timeOut()
	}
}

// forgetSmall looks at the status and forgets the body.
func (p *program) forgetSmall() {
	resp, err := p.client.Get(p.Small)
	p.note(err)
	_ = resp
}

// forgetLarge reads the beginning of a large body and forgets the rest.
func (p *program) forgetLarge() {
	resp, err := p.client.Get(p.Large)
	p.note(err)
	if err == nil {
		_, _ = io.ReadFull(resp.Body, make([]byte, 1024))
	}
}

// closeEarly closes a large body long before its end.
func (p *program) closeEarly() {
	resp, err := p.client.Get(p.Large)
	p.note(err)
	if err == nil {
		_, _ = io.ReadFull(resp.Body, make([]byte, 1024))
		_ = resp.Body.Close()
	}
}

// abandon does all as it should be; its connection is idle then, and the server closes it.
func (p *program) abandon() {
	resp, err := p.client.Get(p.Small)
	p.note(err)
	if err == nil {
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}
}

// timeOut gives up before the server answers.
func (p *program) timeOut() {
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.Slow, nil)
	if err != nil {
		p.note(err)
		return
	}
	resp, err := p.client.Do(req)
	if err == nil {
		_ = resp.Body.Close()
	}
}

// behave makes careful requests for a while, as a service that goes on working would.
func (p *program) behave(d time.Duration) {
	var wg sync.WaitGroup
	until := time.Now().Add(d)
	for range 2 {
		wg.Go(func() {
			for time.Now().Before(until) {
				p.abandon()
				time.Sleep(time.Millisecond)
			}
		})
	}
	wg.Wait()
}

func (p *program) note(err error) {
	if err == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.errors[err.Error()]++
}

func (p *program) figures() figures {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	p.mu.Lock()
	defer p.mu.Unlock()
	f := figures{Dials: p.dials.Load(), Errors: p.errors, HeapBytes: m.HeapAlloc, Collections: m.NumGC, Leaks: p.leaked}
	for line, n := range p.leaks {
		f.LeakedAt = append(f.LeakedAt, place{line, n})
	}
	slices.SortFunc(f.LeakedAt, func(a, b place) int {
		return cmp.Or(b.Count-a.Count, strings.Compare(a.Line, b.Line))
	})
	return f
}
