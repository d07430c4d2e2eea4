package main

import (
	"bytes"
	"fmt"
	"slices"
)

// colours tell subjects apart in both light and dark surroundings, and for most who see colours differently.
var colours = map[string]string{
	"floor": "#888888", "watertight": "#0072b2", "net/http": "#d55e00", "fasthttp": "#009e73", "fasthttp streamed": "#56b48f", "hertz": "#cc79a7",
}

const (
	barHeight = 9
	rowGap    = 12
	left      = 260 // of the bars, in pixels; what is left of it is for names
	right     = 70  // for a bar's value
	width     = 900
	top       = 60
)

// plot draws horizontal bars, a group per scene.
func plot(m measure, o outcome) []byte {
	rows := byScene(o.results)
	most := 0.0
	for _, r := range o.results {
		most = max(most, m.of(r))
	}
	height := top
	for _, row := range rows {
		height += len(row)*barHeight + rowGap
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="11">`+"\n", width, height)
	fmt.Fprintln(&b, `<style>text{fill:#222}@media (prefers-color-scheme:dark){text{fill:#ddd}}</style>`)
	fmt.Fprintf(&b, `<text x="10" y="20" font-size="15">%s: %s</text>`+"\n", o.Title, m.title)
	for i, name := range o.Subjects {
		x := 10 + i*140
		fmt.Fprintf(&b, `<rect x="%d" y="32" width="10" height="10" fill="%s"/><text x="%d" y="41">%s</text>`+"\n", x, colours[name], x+14, name)
	}
	y := top
	for _, row := range rows {
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%v</text>`+"\n", left-8, y+(len(row)*barHeight+8)/2, row[0].Scene)
		for _, r := range row {
			length := 0.0
			if most > 0 {
				length = m.of(r) / most * (width - left - right)
			}
			fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>`, left, y, length, barHeight-1, colours[r.Subject])
			fmt.Fprintf(&b, `<text x="%.1f" y="%d" font-size="8">`+m.show+"</text>\n", left+length+4, y+barHeight-2, m.of(r))
			y += barHeight
		}
		y += rowGap
	}
	fmt.Fprintln(&b, "</svg>")
	return slices.Clip(b.Bytes())
}
