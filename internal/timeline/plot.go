package timeline

import (
	"bytes"
	"fmt"
	"html"
	"math"
	"slices"
	"strings"
	"time"
)

// A Panel is one plot: a client's sockets over time.
type Panel struct {
	Title string
	*Timeline
}

// colours are those of the states, chosen to be told apart without seeing red and green apart. States without one are summed up as
// "others".
var colours = []struct{ state, colour string }{
	{"ESTABLISHED", "#0072b2"},
	{"CLOSE_WAIT", "#d55e00"},
	{"FIN_WAIT2", "#009e73"},
	{"TIME_WAIT", "#999999"},
	{others, "#cc79a7"},
}

const others = "others"

// The measures of a plot, in pixels.
const (
	panelWidth  = 300
	panelHeight = 150
	left, right = 46, 14
	top, bottom = 58, 58
)

// SVG draws panels side by side, at one scale.
func SVG(title string, panels []Panel) []byte {
	var end time.Duration
	most := 1
	shown := map[string]bool{}
	for _, p := range panels {
		for _, s := range p.Samples {
			end = max(end, s.After)
			for state, n := range grouped(s.Counts) {
				most = max(most, n)
				shown[state] = shown[state] || n > 0
			}
		}
	}
	var b bytes.Buffer
	width, height := len(panels)*(left+panelWidth+right), top+panelHeight+bottom
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" font-family="sans-serif" font-size="11" fill="#222">`+"\n", width, height, width, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", width, height)
	fmt.Fprintf(&b, `<text x="%d" y="20" font-size="13" font-weight="bold">%s</text>`+"\n", left, html.EscapeString(title))
	scale := newScale(most, end)
	for i, p := range panels {
		x := i*(left+panelWidth+right) + left
		fmt.Fprintf(&b, `<g transform="translate(%d,%d)">`+"\n", x, top)
		scale.axes(&b, p.Title)
		scale.lines(&b, p.Timeline)
		b.WriteString("</g>\n")
	}
	x := left
	for _, c := range colours {
		if shown[c.state] {
			fmt.Fprintf(&b, `<rect x="%d" y="%d" width="12" height="3" fill="%s"/><text x="%d" y="%d">%s</text>`+"\n", x, height-15, c.colour, x+16, height-10, c.state)
			x += 30 + 8*len(c.state)
		}
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end" fill="#666">sockets to the server, by seconds</text>`+"\n</svg>\n", width-right, 20)
	return b.Bytes()
}

// grouped sums up the states without a colour.
func grouped(counts map[string]int) map[string]int {
	g := map[string]int{}
	for state, n := range counts {
		if !slices.ContainsFunc(colours, func(c struct{ state, colour string }) bool { return c.state == state }) {
			state = others
		}
		g[state] += n
	}
	return g
}

// A scale turns counts and times into pixels.
type scale struct {
	most, stepY int
	end, stepX  float64 // seconds
}

func newScale(most int, end time.Duration) scale {
	s := scale{end: math.Max(end.Seconds(), 0.1)}
	s.stepY = int(math.Max(1, niceStep(float64(most)/4)))
	s.most = (most + s.stepY - 1) / s.stepY * s.stepY
	s.stepX = niceStep(s.end / 5)
	return s
}

// niceStep returns the next of 1, 2 and 5 times a power of ten.
func niceStep(v float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, f := range []float64{1, 2, 5} {
		if v <= f*power*1.0001 {
			return f * power
		}
	}
	return 10 * power
}

func (s scale) x(after time.Duration) float64 { return after.Seconds() / s.end * panelWidth }
func (s scale) y(n int) float64               { return panelHeight - float64(n)/float64(s.most)*panelHeight }

// axes draws the grid, with numbers.
func (s scale) axes(b *bytes.Buffer, title string) {
	fmt.Fprintf(b, `<text x="0" y="-14" font-weight="bold">%s</text>`+"\n", html.EscapeString(title))
	for n := 0; n <= s.most; n += s.stepY {
		fmt.Fprintf(b, `<line x1="0" x2="%d" y1="%.1f" y2="%.1f" stroke="#e4e4e4"/><text x="-6" y="%.1f" text-anchor="end">%d</text>`+"\n", panelWidth, s.y(n), s.y(n), s.y(n)+4, n)
	}
	for i := 0; float64(i)*s.stepX <= s.end; i++ {
		x := float64(i) * s.stepX / s.end * panelWidth
		fmt.Fprintf(b, `<text x="%.1f" y="%d" text-anchor="middle">%g</text>`+"\n", x, panelHeight+15, math.Round(float64(i)*s.stepX*100)/100)
	}
}

// lines draws the states as steps, and the marks.
func (s scale) lines(b *bytes.Buffer, t *Timeline) {
	for _, m := range t.Marks {
		x := s.x(m.After)
		anchor, dx := "start", 3.0
		if x > panelWidth*0.6 {
			anchor, dx = "end", -3
		}
		fmt.Fprintf(b, `<line x1="%.1f" x2="%.1f" y1="0" y2="%d" stroke="#888" stroke-dasharray="3 3"/><text x="%.1f" y="9" fill="#666" text-anchor="%s">%s</text>`+"\n", x, x, panelHeight, x+dx, anchor, html.EscapeString(m.Text))
	}
	for _, c := range colours {
		var path strings.Builder
		seen, last := false, -1
		for i, sample := range t.Samples {
			n := grouped(sample.Counts)[c.state]
			seen = seen || n > 0
			switch {
			case i == 0:
				fmt.Fprintf(&path, "M%.1f %.1f", s.x(sample.After), s.y(n))
			case n != last || i == len(t.Samples)-1:
				fmt.Fprintf(&path, "H%.1fV%.1f", s.x(sample.After), s.y(n))
			}
			last = n
		}
		if seen {
			fmt.Fprintf(b, `<path d="%s" fill="none" stroke="%s" stroke-width="1.8"/>`+"\n", path.String(), c.colour)
		}
	}
}
