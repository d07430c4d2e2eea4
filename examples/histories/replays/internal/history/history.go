package history

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/watertight-go/watertight/internal/timeline"
)

// A History is an outage that can be replayed.
type History struct {
	Name  string          // of the program, as in "big-sale"
	About string          // what happened, in a line
	Roles map[string]Role // what processes of the program can be, besides the one that the user started
	// Replay plays it and reports. Every process it started with the Stage is ended afterwards.
	Replay func(*Stage) (*Report, error)
}

// Exit statuses of Main.
const (
	exitHeld  = 0 // the ordinary client failed as history did, ours did not
	exitFails = 1 // ours failed, or the replay proves nothing
	exitUsage = 2
)

// Main is the main function of a History's program.
func Main(h History) {
	TestMain(h, func() { os.Exit(h.Run(os.Args[1:], os.Stdout, os.Stderr)) })
}

// TestMain is that of a History's tests: the processes of the replay are the test's binary as well, and those without a role run the
// tests.
func TestMain(h History, tests func()) {
	handled, err := h.PlayRole(os.Stdin, os.Stdout)
	if !handled {
		tests()
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", h.Name, err)
		os.Exit(exitFails)
	}
}

// options are what the user asked for.
type options struct {
	short, json bool
	svg         string
}

func (h History) parse(args []string, stderr io.Writer) (o options, err error) {
	flags := flag.NewFlagSet(h.Name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.BoolVar(&o.short, "short", false, "replay it smaller, in a few seconds, as the test does")
	flags.BoolVar(&o.json, "json", false, "print the figures as JSON")
	flags.StringVar(&o.svg, "svg", "", "draw the sockets over time into this `FILE`")
	if err = flags.Parse(args); err == nil && flags.NArg() > 0 {
		err = fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if errors.Is(err, flag.ErrHelp) {
		flags.SetOutput(stderr)
		fmt.Fprintf(stderr, "%s: %s\n", h.Name, h.About)
		flags.PrintDefaults()
	}
	return o, err
}

// Run replays the history as the arguments say and returns the exit status.
func (h History) Run(args []string, stdout, stderr io.Writer) int {
	o, err := h.parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return exitHeld
	}
	if err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", h.Name, err)
		return exitUsage
	}
	s := NewStage(o.short, stderr)
	defer s.End()
	report, err := h.Replay(s)
	if err == nil && o.svg != "" {
		err = os.WriteFile(o.svg, timeline.SVG(report.Title, report.Panels), 0o644)
	}
	if err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", h.Name, err)
		return exitFails
	}
	if o.json {
		enc := json.NewEncoder(stdout)
		enc.SetIndent("", "  ")
		_ = enc.Encode(report)
	} else {
		report.Print(stdout)
	}
	if len(report.Faults) > 0 {
		return exitFails
	}
	return exitHeld
}

// A Report is what a replay found.
type Report struct {
	Title   string           // of the plot
	Intro   string           // what was played, a few lines
	Columns []string         // the clients
	Rows    []Row            // the figures
	Notes   []string         // lines below the table
	Panels  []timeline.Panel // the sockets over time
	Faults  []string         // why the replay does not show what it should; none if history repeated itself with the ordinary client and not with ours
}

// A Row is one figure of each client.
type Row struct {
	Name  string
	Cells []string
}

// Add adds a row. A cell is printed as fmt does.
func (r *Report) Add(name string, cells ...any) {
	row := Row{Name: name}
	for _, c := range cells {
		row.Cells = append(row.Cells, fmt.Sprint(c))
	}
	r.Rows = append(r.Rows, row)
}

// Expect adds a fault unless ok.
func (r *Report) Expect(ok bool, format string, args ...any) {
	if !ok {
		r.Faults = append(r.Faults, fmt.Sprintf(format, args...))
	}
}

// Print writes the report as text.
func (r *Report) Print(w io.Writer) {
	first, widths := 0, make([]int, len(r.Columns))
	for _, row := range append([]Row{{Cells: r.Columns}}, r.Rows...) {
		first = max(first, len([]rune(row.Name)))
		for i, c := range row.Cells {
			widths[i] = max(widths[i], len([]rune(c)))
		}
	}
	line := func(row Row) {
		var b strings.Builder
		fmt.Fprintf(&b, "  %-*s", first, row.Name)
		for i, c := range row.Cells {
			fmt.Fprintf(&b, "  %*s", widths[i], c)
		}
		fmt.Fprintln(w, strings.TrimRight(b.String(), " "))
	}
	fmt.Fprintf(w, "\n%s\n\n", r.Intro)
	line(Row{Cells: r.Columns})
	for _, row := range r.Rows {
		line(row)
	}
	fmt.Fprintln(w)
	for _, note := range r.Notes {
		fmt.Fprintln(w, note)
	}
	if len(r.Faults) == 0 {
		fmt.Fprintln(w, "History repeated itself with the ordinary client, and not with ours.")
	}
	for _, fault := range r.Faults {
		fmt.Fprintln(w, "NOT as it should be:", fault)
	}
}
