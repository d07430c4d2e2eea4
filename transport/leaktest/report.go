package leaktest

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// A kind is what a finding is about. Their order is that of a report's first line.
type kind int

const (
	leaked   kind = iota // a body that nobody reads
	open                 // one that somebody may still read
	inFlight             // a request without a response
	kinds
)

// A finding is one exchange that is not finished, as it was when it was looked at. Those of one stack are one leak, in a loop.
type finding struct {
	kind   kind
	number uint64
	times  int
	method string
	url    string
	got    int64
	size   int64         // -1: not known
	age    time.Duration // negative: not known
	why    string
	costs  bool // a connection, or it may: where one of a loop does, that is told
	users  []frame
}

// found returns what is to be said of an exchange. outside is true outside of the bubble that it is from.
func (x *exchange) found(k kind, outside bool) finding {
	_, size, _ := x.answer()
	f := finding{
		kind: k, number: x.number, times: 1, method: x.method, url: x.record.subject.Redact(&x.url),
		got: x.got.Load(), size: size, age: time.Since(x.began), users: usersFrames(x.stack, x.start),
	}
	if outside {
		f.age = -1 // it was of another clock
	}
	switch {
	case k == inFlight:
		f.why = "no response yet: RoundTrip has not returned"
	case k == open:
		f.why = "still open: the goroutine that had it last still runs"
	case size < 0:
		f.why, f.costs = unfinished+": it may cost a connection", true
	case size <= x.record.subject.Small:
		f.why = unfinished + ": small enough to cost no connection here; another client would have lost it"
	default:
		f.why, f.costs = unfinished+": it costs a connection", true
	}
	return f
}

// What is said of a leaked body is true whatever became of its connection since: that the collector found it, or that
// the server has hung up, is a matter of moments, and the report the same.
const unfinished = "neither closed nor read to its end"

// fold makes one of the findings that have kind, method and stack in common, in the order of the last of each.
func fold(all []finding) (folded []finding) {
	all = slices.SortedFunc(slices.Values(all), func(a, b finding) int { return cmp.Compare(a.number, b.number) })
	at := map[string]int{}
	for _, f := range all {
		key := fmt.Sprint(f.kind, f.method, f.users)
		if i, ok := at[key]; ok {
			was := folded[i]
			f.times += was.times
			if was.costs {
				f.why, f.costs = was.why, true
			}
			folded[i] = f
			continue
		}
		at[key] = len(folded)
		folded = append(folded, f)
	}
	slices.SortStableFunc(folded, func(a, b finding) int { return cmp.Compare(a.number, b.number) })
	return folded
}

// maxBlocks bounds the blocks of a report.
const maxBlocks = 20

// A report is what was found at one look. The zero value is that nothing was.
type report struct {
	findings   []finding
	sockets    []string
	goroutines map[uint64]frame
}

// add adds what was found at another Transport.
func (r *report) add(other *report) {
	r.findings = append(r.findings, other.findings...)
	r.sockets = append(r.sockets, other.sockets...)
	if r.goroutines == nil {
		r.goroutines = map[uint64]frame{}
	}
	maps.Copy(r.goroutines, other.goroutines)
}

func (r *report) empty() bool { return len(r.findings)+len(r.sockets)+len(r.goroutines) == 0 }

// err returns the report as an error, nil if nothing was found.
func (r *report) err() error {
	if r.empty() {
		return nil
	}
	return r
}

// Error returns a line that sums up, and a block per finding, the most recent last.
func (r *report) Error() string {
	var b strings.Builder
	b.WriteString("leaktest: " + r.summary())
	folded := fold(r.findings)
	if more := len(folded) - maxBlocks; more > 0 {
		fmt.Fprintf(&b, "\n\n%d earlier places are not shown", more)
		folded = folded[more:]
	}
	for _, f := range folded {
		b.WriteString("\n\n" + f.block())
	}
	if len(r.sockets)+len(r.goroutines) > 0 {
		b.WriteString("\n\nleft after Close:")
	}
	for _, s := range r.sockets {
		b.WriteString("\n\t" + s)
	}
	b.WriteString(lines(r.places()))
	return b.String()
}

// places returns where each goroutine that is left is, in the order of their numbers.
func (r *report) places() (frames []frame) {
	for _, number := range slices.Sorted(maps.Keys(r.goroutines)) {
		frames = append(frames, r.goroutines[number])
	}
	return frames
}

func (r *report) summary() string {
	var n [kinds]int
	for _, f := range r.findings {
		n[f.kind]++
	}
	var parts []string
	for _, part := range []struct {
		n         int
		one, many string
	}{
		{n[leaked], "response body leaked", "response bodies leaked"},
		{n[open], "response body is still open", "response bodies are still open"},
		{n[inFlight], "request is still in flight", "requests are still in flight"},
		{len(r.sockets), "connection is left", "connections are left"},
		{len(r.goroutines), "goroutine is left", "goroutines are left"},
	} {
		switch {
		case part.n == 1:
			parts = append(parts, "1 "+part.one)
		case part.n > 1:
			parts = append(parts, fmt.Sprintf("%d %s", part.n, part.many))
		}
	}
	return strings.Join(parts, ", ")
}

// block is what a report says of one finding.
func (f finding) block() string {
	var b strings.Builder
	if f.times > 1 {
		fmt.Fprintf(&b, "%d times, the last: ", f.times)
	}
	b.WriteString(f.method + " " + f.url)
	if f.kind != inFlight {
		fmt.Fprintf(&b, ", %s", f.amount())
	}
	if f.age >= 0 {
		fmt.Fprintf(&b, ", %s old", f.age.Round(time.Millisecond))
	}
	b.WriteString("\n\t" + f.why)
	b.WriteString(lines(shown(f.users)))
	return b.String()
}

func (f finding) amount() string {
	if f.size < 0 {
		return fmt.Sprintf("%d bytes read of an unknown number", f.got)
	}
	return fmt.Sprintf("%d of %d bytes read", f.got, f.size)
}

// lines has a line per frame, such as terminals and editors make a link of.
func lines(frames []frame) string {
	var b strings.Builder
	for _, f := range frames {
		function := f.function[strings.LastIndexByte(f.function, '/')+1:]
		fmt.Fprintf(&b, "\n\t%s:%d: %s", f.file, f.line, function)
	}
	return b.String()
}
