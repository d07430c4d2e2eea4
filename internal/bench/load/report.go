package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
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
	{"cpu", "CPU time per request, times that of the floor", func(r result) float64 { return r.Ratio }, "%.2f"},
	{"throughput", "Requests per second", func(r result) float64 { return r.PerSec }, "%.0f"},
	{"p50", "Latency in µs, median", func(r result) float64 { return float64(r.P50.Nanoseconds()) / 1e3 }, "%.0f"},
	{"p99", "Latency in µs, 99 %", func(r result) float64 { return float64(r.P99.Nanoseconds()) / 1e3 }, "%.0f"},
	{"allocs", "Allocations per request", func(r result) float64 { return r.Allocs }, "%.1f"},
	{"bytes", "Bytes allocated per request", func(r result) float64 { return r.Bytes }, "%.0f"},
}

// report prints a table per measure, and writes the tables and their plots into a directory, unless that is "".
func report(w io.Writer, results []result, dir string) error {
	var text strings.Builder
	for _, m := range measures {
		table(&text, m, results)
		if dir != "" {
			fmt.Fprintf(&text, "![%s](%s.svg)\n\n", m.title, m.name)
		}
	}
	if dir == "" {
		_, err := io.WriteString(w, text.String())
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, m := range measures {
		if err := os.WriteFile(filepath.Join(dir, m.name+".svg"), plot(m, results), 0o644); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(dir, "load.md"), []byte(text.String()), 0o644)
}

func table(w io.Writer, m measure, results []result) {
	fmt.Fprintf(w, "### %s\n\n| |", m.title)
	names := present(results)
	for _, name := range names {
		fmt.Fprintf(w, " %s |", name)
	}
	fmt.Fprintf(w, "\n|---|%s\n", strings.Repeat("---|", len(names)))
	for _, row := range byScene(results) {
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

// present returns the subjects that were measured, in order.
func present(results []result) (names []string) {
	rows := byScene(results)
	if len(rows) == 0 {
		return nil
	}
	for _, r := range rows[0] {
		names = append(names, r.Subject)
	}
	return names
}
