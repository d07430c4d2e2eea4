package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// A measure is one column of the results.
type measure struct {
	name  string // of the plot's file too
	title string
	of    func(result) float64
	show  string // how a value is printed
}

var measures = []measure{
	{"cpu", "CPU time per request, times that of the first", func(r result) float64 { return r.Ratio }, "%.2f"},
	{"throughput", "Requests per second", func(r result) float64 { return r.PerSec }, "%.0f"},
	{"p50", "Latency in µs, median", func(r result) float64 { return float64(r.P50.Nanoseconds()) / 1e3 }, "%.0f"},
	{"p99", "Latency in µs, 99 %", func(r result) float64 { return float64(r.P99.Nanoseconds()) / 1e3 }, "%.0f"},
	{"allocs", "Allocations per request", func(r result) float64 { return r.Allocs }, "%.1f"},
	{"bytes", "Bytes allocated per request", func(r result) float64 { return r.Bytes }, "%.0f"},
	{"locks", "Time spent waiting for locks, %", func(r result) float64 { return 100 * r.Locked }, "%.3f"},
}

// report prints a table per group and measure, and writes the tables and their plots into a directory, unless that is "".
func report(w io.Writer, outcomes []outcome, dir string) error {
	var text strings.Builder
	fmt.Fprintf(&text, "# What requests cost their client\n\n`go -C internal/bench run ./load`, %s, %s/%s, %s, client and server on the same machine.\n\n",
		runtime.Version(), runtime.GOOS, runtime.GOARCH, cores())
	if dir != "" {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	for _, o := range outcomes {
		fmt.Fprintf(&text, "## %s\n\n", o.Title)
		for _, m := range measures {
			if !slices.Contains(o.Measures, m.name) {
				continue
			}
			table(&text, m, o)
			if dir == "" {
				continue
			}
			file := o.Name + m.name + ".svg"
			fmt.Fprintf(&text, "![%s](%s)\n\n", m.title, file)
			if err := os.WriteFile(filepath.Join(dir, file), plot(m, o), 0o644); err != nil {
				return err
			}
		}
	}
	if dir == "" {
		_, err := io.WriteString(w, text.String())
		return err
	}
	return os.WriteFile(filepath.Join(dir, "load.md"), []byte(text.String()), 0o644)
}

func table(w io.Writer, m measure, o outcome) {
	fmt.Fprintf(w, "### %s\n\n| |", m.title)
	for _, name := range o.Subjects {
		fmt.Fprintf(w, " %s |", name)
	}
	fmt.Fprintf(w, "\n|---|%s\n", strings.Repeat("---|", len(o.Subjects)))
	for _, row := range byScene(o.results) {
		fmt.Fprintf(w, "| %v |", row[0].Scene)
		for _, r := range row {
			fmt.Fprintf(w, " "+m.show+" |", m.of(r))
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintln(w)
}

// byScene groups results, which come scene by scene.
func byScene(results []result) (rows [][]result) {
	for i, r := range results {
		if i == 0 || r.Scene != results[i-1].Scene {
			rows = append(rows, nil)
		}
		rows[len(rows)-1] = append(rows[len(rows)-1], r)
	}
	return rows
}

// cores tells how many the machine has, and of which model where the system says so: the ratios depend on what system calls cost on it.
func cores() string {
	text := fmt.Sprintf("%d cores", runtime.NumCPU())
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return text
	}
	for line := range strings.Lines(string(info)) {
		if name, model, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
			return text + " (" + strings.TrimSpace(model) + ")"
		}
	}
	return text
}
