package main

import (
	"fmt"
	"io"
	"os"
	"strings"
)

// A progress shows how far a run is: in one line that is written over on a terminal, in one line per phase otherwise.
type progress struct {
	w        io.Writer
	terminal bool
	last     string
}

func newProgress(w io.Writer) *progress {
	p := &progress{w: w}
	if f, ok := w.(*os.File); ok {
		info, err := f.Stat()
		p.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return p
}

func (p *progress) update(j job, m message) {
	phase := fmt.Sprintf("%s: %s", j.Transport, m.Phase)
	if p.terminal {
		line := phase
		if m.Done > 0 {
			line += fmt.Sprintf(" %d/%d", m.Done, j.Requests)
		}
		fmt.Fprintf(p.w, "\r\x1b[K%s", line)
		return
	}
	if phase != p.last {
		p.last = phase
		fmt.Fprintln(p.w, phase)
	}
}

func (p *progress) end() {
	if p.terminal {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}

// report prints the figures side by side and says what they mean.
func report(w io.Writer, o options, results []result) {
	at, last := "servers of its own", ""
	if o.url != "" {
		at, last = o.url, ", and CloseIdleConnections"
	}
	fmt.Fprintf(w, "\n%d careless requests, %d at once, to %s: bodies never closed, closed early, timeouts, idle\nconnections that the server closes. Then %v of careful requests and %v of rest%s. What is left:\n\n", o.requests, o.concurrency, at, carefulTime, restTime, last)
	row := func(name string, value func(result) string) {
		fmt.Fprintf(w, "  %-34s", name)
		for _, r := range results {
			fmt.Fprintf(w, "%20s", value(r))
		}
		fmt.Fprintln(w)
	}
	number := func(value func(result) int) func(result) string {
		return func(r result) string { return fmt.Sprint(value(r)) }
	}
	kernel := func(value func(result) int) func(result) string {
		return func(r result) string {
			if !r.Kernel {
				return "not readable here"
			}
			return fmt.Sprint(value(r))
		}
	}
	row("", func(r result) string { return r.Transport })
	row("sockets in CLOSE_WAIT", kernel(func(r result) int { return r.Sockets["CLOSE_WAIT"] }))
	row("sockets in ESTABLISHED", kernel(func(r result) int { return r.Sockets["ESTABLISHED"] }))
	row("sockets in other states", kernel(otherSockets))
	row("file descriptors, all of them", kernel(func(r result) int { return r.Descriptors }))
	row("goroutines above the start", number(func(r result) int { return r.Goroutines }))
	row("memory in use, KiB", number(func(r result) int { return int(r.HeapBytes >> 10) }))
	fmt.Fprintln(w)
	row("connections opened", number(func(r result) int { return int(r.Dials) }))
	row("left in TIME_WAIT (owned by none)", kernel(func(r result) int { return r.TimeWait }))
	row("leaked bodies reported", func(r result) string {
		if r.Transport == std {
			return "it cannot tell"
		}
		return fmt.Sprint(r.Leaks)
	})
	row("unexpected errors", number(func(r result) int { return total(r.Errors) }))
	fmt.Fprintln(w)
	for _, at := range results[1].LeakedAt {
		fmt.Fprintf(w, "  %d bodies leaked from %s\n", at.Count, at.Line)
	}
	fmt.Fprintf(w, "\n%s\n", verdict(results))
}

func otherSockets(r result) int {
	return total(r.Sockets) - r.Sockets["CLOSE_WAIT"] - r.Sockets["ESTABLISHED"]
}

func total(counts map[string]int) (n int) {
	for _, c := range counts {
		n += c
	}
	return n
}

// verdict says in words what the table shows.
func verdict(results []result) string {
	var b strings.Builder
	for _, r := range results {
		fmt.Fprintf(&b, "%s ", r.Transport)
		switch {
		case r.leaks():
			b.WriteString("leaks: it still holds ")
			if r.Kernel {
				fmt.Fprintf(&b, "%d sockets and ", total(r.Sockets))
			}
			fmt.Fprintf(&b, "%d goroutines.", r.Goroutines)
			if n := r.Sockets["CLOSE_WAIT"]; n > 0 {
				fmt.Fprintf(&b, " %d are in CLOSE_WAIT: the server has\nhung up, and the client waits for the Close of a body that no variable refers to any more.", n)
			}
			if n := r.Sockets["ESTABLISHED"]; n > 0 && r.Transport == std {
				fmt.Fprintf(&b, " %d are\nESTABLISHED: half-read bodies that stay for ever.", n)
			}
		case r.Kernel:
			b.WriteString("leaves nothing: no socket, no goroutine.")
		default:
			b.WriteString("leaves no goroutine. This system's socket table is not read; on Linux it is.")
		}
		b.WriteByte('\n')
	}
	return b.String()
}
