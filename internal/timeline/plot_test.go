package timeline_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/internal/timeline"
)

// A plot is well-formed, names its clients and states, and sums up what has no colour.
func TestSVG(t *testing.T) {
	line := &timeline.Timeline{Marks: []timeline.Mark{{Text: "it <begins>"}}, Samples: []timeline.Sample{
		{Counts: map[string]int{"ESTABLISHED": 7}},
		{After: 3e9, Counts: map[string]int{"CLOSE_WAIT": 7, "LAST_ACK": 1, "SYN_SENT": 2}},
	}}
	svg := timeline.SVG("a & b", []timeline.Panel{{Title: "one", Timeline: line}, {Title: "other", Timeline: &timeline.Timeline{}}})
	var words []string
	for d := xml.NewDecoder(bytes.NewReader(svg)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		if text, ok := token.(xml.CharData); ok {
			words = append(words, string(text))
		}
	}
	assert.Subset(t, words, []string{"a & b", "one", "other", "it <begins>", "ESTABLISHED", "CLOSE_WAIT", "others"})
	assert.NotContains(t, words, "TIME_WAIT")
	assert.Equal(t, 3, bytes.Count(svg, []byte("<path ")))
	assert.Contains(t, string(svg), `<path d="M0.0 18.8H300.0V150.0" fill="none" stroke="#0072b2"`)
}
