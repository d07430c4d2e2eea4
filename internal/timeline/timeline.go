// Package timeline asks the kernel again and again about the sockets that are connected to a server, and draws what it said.
package timeline

import (
	"encoding/json"
	"net/netip"
	"time"

	"github.com/watertight-go/watertight/internal/sockstat"
)

// every is how often the kernel is asked.
const every = 100 * time.Millisecond

// A Sample is how many sockets were in which state, some time after the start.
type Sample struct {
	After  time.Duration
	Counts map[string]int
}

// A Timeline is what the kernel told of the clients of a server, over time.
type Timeline struct {
	Samples []Sample
	Marks   []Mark

	port   uint16
	ignore map[netip.AddrPort]bool // in TIME_WAIT before
	start  time.Time
	stop   chan struct{}
	done   chan error
}

// A Mark says what happened some time after the start.
type Mark struct {
	After time.Duration
	Text  string
}

// Watch begins to ask the kernel about the sockets that are connected to a port, whoever owns them, until Stop.
func Watch(port uint16) (*Timeline, error) {
	before, err := clients(port)
	if err != nil {
		return nil, err
	}
	t := &Timeline{port: port, ignore: map[netip.AddrPort]bool{}, start: time.Now(), stop: make(chan struct{}), done: make(chan error, 1)}
	for _, s := range before {
		t.ignore[s.Local] = true
	}
	go t.run()
	return t, nil
}

func clients(port uint16) ([]sockstat.Socket, error) {
	return sockstat.List(sockstat.Filter{RemotePort: port})
}

// run is Watch's goroutine; Stop ends it.
func (t *Timeline) run() {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for last := false; ; {
		counts, err := t.look()
		if err != nil {
			t.done <- err
			return
		}
		t.Samples = append(t.Samples, Sample{time.Since(t.start), counts})
		if last {
			t.done <- nil
			return
		}
		select {
		case <-t.stop:
			last = true
		case <-tick.C:
		}
	}
}

// look asks the kernel once, and returns how many sockets are in which state.
func (t *Timeline) look() (map[string]int, error) {
	sockets, err := clients(t.port)
	if err != nil {
		return nil, err
	}
	counts := map[string]int{}
	for _, s := range sockets {
		if !t.ignore[s.Local] {
			counts[s.State.String()]++
		}
	}
	return counts, nil
}

// Mark notes what happens now.
func (t *Timeline) Mark(text string) {
	t.Marks = append(t.Marks, Mark{time.Since(t.start), text})
}

// Stop ends the watch after a last look. The Timeline may be read then.
func (t *Timeline) Stop() error {
	close(t.stop)
	return <-t.done
}

// Peak returns the most sockets that were seen in any of the states at one time.
func (t *Timeline) Peak(states ...string) (most int) {
	for _, s := range t.Samples {
		n := 0
		for _, state := range states {
			n += s.Counts[state]
		}
		most = max(most, n)
	}
	return most
}

// Last returns the last sample's count of sockets in a state.
func (t *Timeline) Last(state string) int {
	if len(t.Samples) == 0 {
		return 0
	}
	return t.Samples[len(t.Samples)-1].Counts[state]
}

// Open returns how many sockets a process still owns: all but those in TIME_WAIT.
func Open(counts map[string]int) (n int) {
	for state, c := range counts {
		if state != "TIME_WAIT" {
			n += c
		}
	}
	return n
}

// Until asks the kernel until what it says is as wanted, for some time at most, and returns its last word either way.
func (t *Timeline) Until(most time.Duration, wanted func(counts map[string]int) bool) (counts map[string]int, err error) {
	for deadline := time.Now().Add(most); ; time.Sleep(every / 4) {
		if counts, err = t.look(); err != nil || wanted(counts) || time.Now().After(deadline) {
			return counts, err
		}
	}
}

// HungUp asks the kernel until the server has hung up everywhere, for some time at most, and then for the second that the client
// has to notice. It returns the last word.
func (t *Timeline) HungUp(most time.Duration) (map[string]int, error) {
	if _, err := t.Until(most, func(counts map[string]int) bool { return counts["ESTABLISHED"] == 0 }); err != nil {
		return nil, err
	}
	return t.Until(time.Second, func(counts map[string]int) bool { return Open(counts) == 0 })
}

// MarshalJSON leaves out what only the watch needs.
func (t *Timeline) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Samples []Sample
		Marks   []Mark
	}{t.Samples, t.Marks})
}
