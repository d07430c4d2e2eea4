package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/watertight-go/watertight/examples/histories/replays/internal/history"
	"github.com/watertight-go/watertight/internal/timeline"
)

// newReport tells what the replay showed, and what it should have.
func newReport(runs []*run, err error) (*history.Report, error) {
	if err != nil {
		return nil, err
	}
	r := &history.Report{
		Title: fmt.Sprintf("four-hundred-leased: %d bodies are forgotten, the server hangs up, then callers come", limit),
		Intro: fmt.Sprintf("MaxConnsPerHost is %d. %d response bodies are forgotten, the server hangs up, and %d callers come. Then again with\n"+
			"bodies that the program still has. Then with %d that leaked beside %d downloads: http.Transport's pool is thrown away, with\n"+
			"all its connections, after half a second of waiting; ours is left alone.", limit, limit, callers, limit-downloads, downloads),
	}
	std, ours := runs[0], runs[1]
	row := func(name string, cell func(*run) any) { r.Add(name, cell(std), cell(ours)) }
	r.Columns = []string{std.Transport, ours.Transport}
	row("sockets in CLOSE_WAIT when callers come", func(r *run) any { return r.Before["CLOSE_WAIT"] })
	row("sockets open in all", func(r *run) any { return timeline.Open(r.Before) })
	row(fmt.Sprintf("callers served, of %d", callers), func(r *run) any { return r.Forgotten.Served })
	row("the slowest waited", func(r *run) any {
		if r.Forgotten.Served == 0 {
			return "for ever"
		}
		return r.Forgotten.Slowest.Round(time.Millisecond)
	})
	row("bodies held: holders that the error names", func(r *run) any { return r.Held.Holders })
	row("pool freed: callers served after", func(r *run) any { return r.Remedy.Slowest.Round(10 * time.Millisecond) })
	row(fmt.Sprintf("downloads that survived it, of %d", downloads), func(r *run) any { return r.Remedy.Survived })
	r.Notes = []string{
		"Where bodies are held, a caller of http.Transport learns: " + std.Held.Error,
		"A caller of ours learns: " + wrap(ours.Held.Error),
	}
	for _, run := range runs {
		r.Panels = append(r.Panels, timeline.Panel{Title: run.Transport, Timeline: run.Timeline})
	}
	r.Expect(std.Before["CLOSE_WAIT"] == limit, "http.Transport has %d sockets in CLOSE_WAIT, not %d", std.Before["CLOSE_WAIT"], limit)
	r.Expect(std.Forgotten.Served == 0, "http.Transport served %d callers", std.Forgotten.Served)
	r.Expect(std.Remedy.Survived == 0, "%d downloads survived that the pool was thrown away", std.Remedy.Survived)
	r.Expect(ours.Before["CLOSE_WAIT"] == 0, "ours has %d sockets in CLOSE_WAIT", ours.Before["CLOSE_WAIT"])
	r.Expect(ours.Forgotten.Served == callers && ours.Forgotten.Slowest < time.Second, "ours served %d callers within %v", ours.Forgotten.Served, ours.Forgotten.Slowest)
	r.Expect(ours.Held.Holders == limit, "ours names %d holders: %s", ours.Held.Holders, ours.Held.Error)
	r.Expect(ours.Remedy.Served == callers && ours.Remedy.First < time.Second, "ours served %d callers beside downloads, the first after %v", ours.Remedy.Served, ours.Remedy.First)
	r.Expect(ours.Remedy.Survived == downloads, "%d of %d downloads survived with ours: %s", ours.Remedy.Survived, downloads, ours.Remedy.DownloadError)
	return r, nil
}

// wrap breaks an error's text between the holders.
func wrap(s string) string { return strings.ReplaceAll(s, "; ", ";\n    ") }
