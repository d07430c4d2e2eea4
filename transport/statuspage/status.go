package statuspage

import (
	"cmp"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/watertight-go/watertight/transport"
)

// A status is what is shown. Times are in seconds.
type status struct {
	Time        time.Time           `json:"time"`
	Total       transport.Counts    `json:"total"`
	Findings    []transport.Finding `json:"findings"`
	Origins     list[origin]        `json:"origins"`
	Connections list[connection]    `json:"connections"`
	Bodies      list[body]          `json:"bodies"`
	Samples     []sample            `json:"samples"` // of the last ten minutes, the oldest first
}

type origin struct {
	Name string `json:"name"`
	transport.Counts
}

type connection struct {
	Origin   string  `json:"origin"`
	Protocol string  `json:"protocol"`
	State    string  `json:"state"`
	Since    float64 `json:"since"` // for how long it has been in that state
	Age      float64 `json:"age"`
	Requests int64   `json:"requests"`
	Streams  int     `json:"streams"`
	Retired  string  `json:"retired,omitempty"`
	Local    string  `json:"local"`
	Remote   string  `json:"remote"`
}

type body struct {
	Method    string   `json:"method"`
	URL       string   `json:"url"`
	Age       float64  `json:"age"`
	BytesRead int64    `json:"bytes_read"`
	Opened    []string `json:"opened"` // where, from the program's own function on; empty: not recorded
}

// A list is a page of many.
type list[T any] struct {
	Total int `json:"total"` // of all pages
	Page  int `json:"page"`  // from 1 on
	Pages int `json:"pages"`
	Items []T `json:"items"`
}

// perPage is how many rows of a table are shown at once.
const perPage = 100

func newStatus(t *transport.Transport, st transport.Stats, samples []sample, query url.Values, now time.Time) status {
	s := status{Time: now.UTC(), Total: st.Counts, Findings: t.Diagnose(), Samples: samples}
	if s.Findings == nil {
		s.Findings = []transport.Finding{}
	}
	names := slices.SortedFunc(maps.Keys(st.Origins), func(x, y string) int {
		return cmp.Or(cmp.Compare(st.Origins[y].Open, st.Origins[x].Open), cmp.Compare(st.Origins[y].Requests, st.Origins[x].Requests), strings.Compare(x, y))
	})
	s.Origins = pageOf(names, query.Get("origins"), func(name string) origin { return origin{name, st.Origins[name]} })

	conns := t.Connections()
	if only := query.Get("origin"); only != "" {
		conns = slices.DeleteFunc(conns, func(c transport.Connection) bool { return c.Origin != only })
	}
	s.Connections = pageOf(conns, query.Get("connections"), describe)

	s.Bodies = pageOf(t.OpenBodies(), query.Get("bodies"), func(b transport.OpenBody) body {
		opened := []string{}
		if b.Stack != "" {
			opened = strings.Split(b.Stack, "\n")
		}
		return body{Method: b.Method, URL: b.URL, Age: seconds(b.Age), BytesRead: b.BytesRead, Opened: opened}
	})
	return s
}

func describe(c transport.Connection) connection {
	state := "idle"
	if c.Leased {
		state = "leased"
	}
	return connection{
		Origin: c.Origin, Protocol: c.Protocol, State: state, Since: seconds(c.Since), Age: seconds(c.Age),
		Requests: c.Requests, Streams: c.Streams, Retired: string(c.Retired), Local: c.Local, Remote: c.Remote,
	}
}

// pageOf returns the page of all that is asked for: the first if that says nothing, the last if there are not so many.
func pageOf[F, T any](all []F, asked string, show func(F) T) list[T] {
	pages := max((len(all)+perPage-1)/perPage, 1)
	n, err := strconv.Atoi(asked)
	if err != nil {
		n = 1
	}
	n = min(max(n, 1), pages)
	l := list[T]{Total: len(all), Page: n, Pages: pages, Items: []T{}}
	for _, f := range all[(n-1)*perPage : min(n*perPage, len(all))] {
		l.Items = append(l.Items, show(f))
	}
	return l
}

// seconds are rounded to milliseconds.
func seconds(d time.Duration) float64 { return float64(d.Milliseconds()) / 1000 }
