package statuspage

import (
	"cmp"
	_ "embed"
	"fmt"
	"html/template"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/watertight-go/watertight/transport"
)

//go:embed page.html
var source string

var page = template.Must(template.New("page").Funcs(template.FuncMap{"seconds": readable, "grouped": groupedAny}).Parse(source))

// A view is what the template shows.
type view struct {
	status
	Refresh bool
	query   url.Values
}

// A tile is a figure with its course.
type tile struct {
	Name, Value, Note string
	Line              string // the points of an SVG polyline; "" before there are two
}

// The size of a course, in units of its own.
const (
	lineWidth  = 120.0
	lineHeight = 28.0
)

// Tiles returns the figures at the top of the page.
func (v view) Tiles() []tile {
	c := v.Total
	return []tile{
		{"open", grouped(c.Open), fmt.Sprintf("%s leased, %s idle", grouped(c.Leased), grouped(c.Idle)), v.line(func(s sample) float64 { return float64(s.Open) })},
		{"bodies", grouped(c.Bodies), "hold a connection", v.line(func(s sample) float64 { return float64(s.Bodies) })},
		{"waiting", grouped(c.Waiting), fmt.Sprintf("%s dialing", grouped(c.Dialing)), v.line(func(s sample) float64 { return float64(s.Waiting) })},
		{"requests/s", v.rate(func(s sample) int64 { return s.Requests }), grouped(c.Requests) + " in all", v.rates(func(s sample) int64 { return s.Requests })},
		{"dials/s", v.rate(func(s sample) int64 { return s.Dials }), grouped(c.Dials) + " in all", v.rates(func(s sample) int64 { return s.Dials })},
		{"leaks", grouped(leaksIn(c)), fmt.Sprintf("%s closed", grouped(c.PeerFirst+c.WeFirst)), v.line(func(s sample) float64 { return float64(s.Leaks) })},
	}
}

// line returns the course of a figure.
func (v view) line(of func(sample) float64) string {
	values := make([]float64, len(v.Samples))
	for i, s := range v.Samples {
		values[i] = of(s)
	}
	return v.points(values, v.Samples)
}

// rates returns the course of how fast a counter grows.
func (v view) rates(of func(sample) int64) string {
	var values []float64
	for i := 1; i < len(v.Samples); i++ {
		values = append(values, perSecond(v.Samples[i-1], v.Samples[i], of))
	}
	return v.points(values, v.Samples[min(1, len(v.Samples)):])
}

// rate returns how fast a counter grows now.
func (v view) rate(of func(sample) int64) string {
	n := len(v.Samples)
	if n < 2 {
		return "–"
	}
	return strconv.FormatFloat(perSecond(v.Samples[n-2], v.Samples[n-1], of), 'f', 1, 64)
}

func perSecond(from, to sample, of func(sample) int64) float64 {
	return float64(of(to)-of(from)) / to.Time.Sub(from.Time).Seconds()
}

// points places values by their time in the course, from 0 to the highest.
func (v view) points(values []float64, at []sample) string {
	if len(values) < 2 {
		return ""
	}
	top := max(slices.Max(values), 1)
	var b strings.Builder
	for i, value := range values {
		x := lineWidth * (1 - v.Time.Sub(at[i].Time).Seconds()/shown.Seconds())
		fmt.Fprintf(&b, "%.1f,%.1f ", x, 1+(lineHeight-2)*(1-value/top))
	}
	return strings.TrimSpace(b.String())
}

// Closes returns why connections were closed, the most frequent reason first.
func (v view) Closes() []string {
	type closes struct {
		why string
		n   int64
	}
	var all []closes
	for why, n := range v.Total.Closes {
		all = append(all, closes{string(why), n})
	}
	slices.SortFunc(all, func(x, y closes) int {
		return cmp.Or(cmp.Compare(y.n, x.n), strings.Compare(x.why, y.why))
	})
	lines := make([]string, len(all))
	for i, c := range all {
		lines[i] = grouped(c.n) + " " + c.why
	}
	return lines
}

// LeaksOf returns how many bodies leaked, by cause.
func (v view) LeaksOf(c transport.Counts) string {
	var parts []string
	for _, cause := range []transport.LeakCause{transport.Dropped, transport.Forgotten, transport.HungUp} {
		if n := c.Leaks[cause]; n > 0 {
			parts = append(parts, grouped(n)+" "+string(cause))
		}
	}
	return strings.Join(parts, ", ")
}

// OnlyOrigin is the origin whose connections alone are shown, "" for all.
func (v view) OnlyOrigin() string { return v.query.Get("origin") }

// Link returns the address of this page with one parameter changed; an empty value takes it out.
func (v view) Link(name string, value any) string {
	q := url.Values{}
	for _, kept := range []string{"origins", "connections", "bodies", "origin", "refresh"} {
		if s := v.query.Get(kept); s != "" {
			q.Set(kept, s)
		}
	}
	if name == "origin" {
		q.Del("connections")
	}
	if q.Set(name, fmt.Sprint(value)); q.Get(name) == "" {
		q.Del(name)
	}
	return "?" + q.Encode()
}

// Pager is what the template needs for the links between the pages of a table. They lead to the table, which may be far down.
func (v view) Pager(name string, at, pages int) map[string]any {
	m := map[string]any{"Page": at, "Pages": pages}
	link := func(what string, to int) { m[what] = v.Link(name, to) + "#" + name }
	if at > 1 {
		link("First", 1)
		link("Before", at-1)
	}
	if at < pages {
		link("After", at+1)
		link("Last", pages)
	}
	return m
}

// readable writes a time as people say it.
func readable(s float64) string {
	d := time.Duration(s * float64(time.Second))
	switch {
	case d < 10*time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

// groupedAny is grouped for the template, whose functions have no types of their own.
func groupedAny(n any) string {
	switch n := n.(type) {
	case int:
		return grouped(n)
	case int64:
		return grouped(n)
	}
	return fmt.Sprint(n)
}

// grouped writes 1000 as 1,000.
func grouped[N int | int64](n N) string {
	s := strconv.FormatInt(int64(n), 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
