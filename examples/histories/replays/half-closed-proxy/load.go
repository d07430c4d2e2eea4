package main

import (
	"context"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"time"

	"github.com/watertight-go/watertight/examples/histories/replays/internal/history"
)

// Who makes requests at once: some without a pause, some just when the server may close their idle connection.
const (
	getters = 6
	posters = 4
	idlers  = 6

	keepAlive = time.Second // of the servers
)

// A loadJob is what a client under load is to do.
type loadJob struct {
	Transport, Base string
	Length          time.Duration
}

// A tally is what became of a client's requests. An answer is an answer, whatever its status.
type tally struct {
	Gets, GetsFailed   int
	Posts, PostsFailed int
	Errors             map[string]int
}

// load is the process of a client under load.
func load(p *history.Peer) error {
	var job loadJob
	if err := p.Receive(&job); err != nil {
		return err
	}
	l := &loader{loadJob: job, client: &http.Client{Transport: transportFor(job.Transport)}}
	l.tally.Errors = map[string]int{}
	end := time.Now().Add(job.Length)
	var wg sync.WaitGroup
	for method, n := range map[string]int{http.MethodGet: getters, http.MethodPost: posters} {
		for range n {
			wg.Go(func() { l.repeat(method, end, time.Millisecond) })
		}
	}
	for i := range idlers {
		method := []string{http.MethodGet, http.MethodPost}[i%2]
		wg.Go(func() { l.repeat(method, end, keepAlive-time.Duration(i)*time.Millisecond) })
	}
	wg.Wait()
	l.client.CloseIdleConnections()
	if err := p.Send(l.tally); err != nil {
		return err
	}
	return p.Wait()
}

// A loader makes requests and counts them.
type loader struct {
	loadJob
	client *http.Client

	mu sync.Mutex
	tally
}

func (l *loader) repeat(method string, end time.Time, pause time.Duration) {
	for time.Now().Before(end) {
		what := method
		fresh, err := l.request(method)
		l.mu.Lock()
		requests, failed := &l.Gets, &l.GetsFailed
		if method == http.MethodPost {
			requests, failed = &l.Posts, &l.PostsFailed
		}
		*requests++
		if err != nil {
			*failed++
			if pause > keepAlive/2 {
				what += " after an idle second"
			}
			if fresh {
				what += " on a connection just opened"
			}
			l.Errors[what+": "+reason(err)]++
		}
		l.mu.Unlock()
		time.Sleep(pause)
	}
}

// request makes one and reads its answer, and reports whether its last connection had not served before.
func (l *loader) request(method string) (fresh bool, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var body io.Reader
	if method == http.MethodPost {
		body = strings.NewReader("an order")
	}
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(c httptrace.GotConnInfo) { fresh = !c.Reused }})
	req, err := http.NewRequestWithContext(ctx, method, l.Base, body)
	if err != nil {
		return false, err
	}
	resp, err := l.client.Do(req)
	if err != nil {
		return fresh, err
	}
	defer func() { _ = resp.Body.Close() }()
	_, err = io.Copy(io.Discard, resp.Body)
	return fresh, err
}

// reason is an error without the ports, which are others each time.
func reason(err error) string {
	text := err.Error()
	return text[strings.LastIndex(text, ": ")+1:]
}
