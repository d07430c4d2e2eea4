package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/watertight-go/watertight/examples/histories/replays/internal/history"
	"github.com/watertight-go/watertight/internal/sockstat"
	"github.com/watertight-go/watertight/internal/timeline"
)

// descriptors is how many file descriptors the shop may have.
const descriptors = 1024

// A run is what one client made of the sale, and of the backend that was replaced.
type run struct {
	Transport   string
	Orders      int            // made
	Served      int            // answered as they should be
	Failed      int            // answered otherwise
	Before      int            // orders served before the first that failed; all of them if none did
	Error       string         // of one that failed
	Descriptors int            // the most that the shop was seen to have open
	Sockets     map[string]int // to the backend, at the end
	Lines       []string       // that its log names
	Timeline    *timeline.Timeline
	gone
}

// replay plays both acts with each client.
func replay(s *history.Stage) (runs []*run, err error) {
	for _, name := range []string{history.Std, history.Ours} {
		r := &run{Transport: name, Orders: history.Pick(s, 4000, 20000)}
		if err := r.sale(s); err != nil {
			return nil, err
		}
		if err := r.replaced(s); err != nil {
			return nil, err
		}
		runs = append(runs, r)
	}
	return runs, nil
}

// sale plays the sale.
func (r *run) sale(s *history.Stage) error {
	backend, port, err := s.Serve(roleBackend, time.Second)
	if err != nil {
		return err
	}
	defer backend.Stop()
	if r.Timeline, err = timeline.Watch(port); err != nil {
		return err
	}
	s.Say("%s: %d orders, half of them with a mistake", r.Transport, r.Orders)
	var log bytes.Buffer
	c, err := s.StartLogged(roleShop, shopJob{Transport: r.Transport, Backend: port, Descriptors: descriptors, Patience: 10 * time.Second}, &log)
	if err != nil {
		return err
	}
	defer c.Stop()
	var at uint16
	if err := c.Receive(&at); err != nil {
		return err
	}
	ended, counted := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(counted)
		r.count(c.PID(), ended)
	}()
	r.order(at)
	close(ended)
	<-counted
	if r.Sockets, err = r.Timeline.HungUp(5 * time.Second); err != nil {
		return err
	}
	c.Stop()
	r.Lines = linesIn(log.String())
	return r.Timeline.Stop()
}

// count looks at the shop's descriptors until it has ended.
func (r *run) count(pid int, ended <-chan struct{}) {
	for {
		if n, err := sockstat.Descriptors(pid); err == nil {
			r.Descriptors = max(r.Descriptors, n)
		}
		select {
		case <-ended:
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// customers is how many orders are made at once.
const customers = 16

// order makes the orders: of every eight four are good, and the others one of each kind of mistake.
func (r *run) order(port uint16) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: customers}}
	defer client.CloseIdleConnections()
	order := []string{"good", "panic", "good", "sold-out", "good", "garbled", "good", "hasty"}
	var next, served, before atomic.Int64
	before.Store(-1)
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range customers {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(r.Orders); i = next.Add(1) - 1 {
				kind := order[i%int64(len(order))]
				status, text := ask(client, fmt.Sprintf("http://127.0.0.1:%d/order?kind=%s", port, kind))
				if status == kinds[kind] {
					served.Add(1)
					continue
				}
				before.CompareAndSwap(-1, served.Load())
				mu.Lock()
				r.Failed++
				r.Error = strings.TrimSpace(text)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	r.Served, r.Before = int(served.Load()), int(before.Load())
	if r.Failed == 0 {
		r.Before = r.Served
	}
}

// ask returns the status of a response, 0 where there is none, and its text.
func ask(client *http.Client, url string) (int, string) {
	resp, err := client.Get(url)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(text)
}

// openedAt finds the line that opened a leaked body in the shop's log.
var openedAt = regexp.MustCompile(`opened_at="[^" ]*\.\(\*shop\)\.(\w+) [^"]*?/(big-sale/\w+\.go:\d+)`)

// linesIn returns the lines of code that a log names, each once.
func linesIn(log string) (lines []string) {
	seen := map[string]bool{}
	for _, match := range openedAt.FindAllStringSubmatch(log, -1) {
		if line := match[1] + " " + match[2]; !seen[line] {
			seen[line] = true
			lines = append(lines, line)
		}
	}
	return lines
}

// origins asks a shop how many origins its pool knows.
func origins(client *http.Client, port uint16) (n int, err error) {
	_, text := ask(client, fmt.Sprintf("http://127.0.0.1:%d/origins", port))
	return n, json.Unmarshal([]byte(text), &n)
}
