package prometheus_test

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/transport"
	watertight "github.com/watertight-go/watertight/transport/prometheus"
)

// A dashboard is what is looked at of Grafana's JSON.
type dashboard struct {
	Title      string
	Templating struct {
		List []struct{ Name, Type, Definition string }
	}
	Panels []struct {
		ID                 int
		Title, Description string
		GridPos            struct{ X, Y, W, H int }
		Targets            []struct{ Expr, LegendFormat string }
	}
}

var (
	metricName  = regexp.MustCompile(`watertight_[a-z_]+`)
	grouping    = regexp.MustCompile(`by \(([a-z, ]+)\)`)
	legendLabel = regexp.MustCompile(`{{([a-z]+)}}`)
	labelNames  = regexp.MustCompile(`\{([a-z,]*)\}`)
)

// described returns the metrics of a Collector with the names of their labels.
func described() map[string][]string {
	ch := make(chan *prometheus.Desc, 100)
	(&watertight.Collector{Transport: transport.New()}).Describe(ch)
	close(ch)
	labels := map[string][]string{}
	for d := range ch {
		text := d.String()
		own := labelNames.FindAllStringSubmatch(text, -1)
		labels[metricName.FindString(text)] = append(strings.Split(own[len(own)-1][1], ","), "transport")
	}
	return labels
}

// The dashboard shows each metric there is and no other, and groups by labels that they have.
func TestDashboard(t *testing.T) {
	text, err := os.ReadFile("dashboard.json")
	require.NoError(t, err)
	var d dashboard
	require.NoError(t, json.Unmarshal(text, &d))

	labels, shown := described(), map[string]bool{}
	require.Equal(t, []string{"origin", "state", "transport"}, labels["watertight_origin_connections"])
	for i, p := range d.Panels {
		assert.Equal(t, i+1, p.ID, p.Title)
		assert.NotEmpty(t, p.Description, p.Title)
		assert.LessOrEqual(t, p.GridPos.X+p.GridPos.W, 24, p.Title)
		assert.NotEmpty(t, p.Targets, p.Title)
		for _, target := range p.Targets {
			expr := strings.ReplaceAll(target.Expr, "_bucket{", "{") // of a histogram, which has the label le as well
			names := metricName.FindAllString(expr, -1)
			assert.NotEmpty(t, names, p.Title)
			for _, name := range names {
				shown[name] = true
				assert.Contains(t, labels, name, p.Title)
				for _, group := range grouping.FindAllStringSubmatch(target.Expr, -1) {
					own := slices.DeleteFunc(strings.Split(group[1], ", "), func(l string) bool { return l == "le" && expr != target.Expr })
					assert.Subset(t, labels[name], own, p.Title)
				}
			}
			for _, label := range legendLabel.FindAllStringSubmatch(target.LegendFormat, -1) {
				assert.Contains(t, target.Expr, label[1], p.Title)
			}
			assert.Equal(t, len(names), strings.Count(target.Expr, `transport=~"$transport"`), "%s: each metric is of the Transports chosen", p.Title)
			assert.Equal(t, strings.Count(target.Expr, "("), strings.Count(target.Expr, ")"), p.Title)
		}
	}
	for name := range labels {
		assert.True(t, shown[name], "%s is not shown", name)
	}
	for _, v := range d.Templating.List {
		for _, name := range metricName.FindAllString(v.Definition, -1) {
			assert.Contains(t, labels, name, v.Name)
		}
	}
}
