package main

import (
	"fmt"

	"github.com/watertight-go/watertight/examples/histories/replays/internal/history"
	"github.com/watertight-go/watertight/internal/timeline"
)

// newReport tells what the replay showed, and what it should have.
func newReport(runs []*run, err error) (*history.Report, error) {
	if err != nil {
		return nil, err
	}
	r := &history.Report{
		Title: "s3-single-process: one call to S3 per process, then none; the server closes idle connections",
		Intro: "Each worker is a process that reads an object from S3, with aws-sdk-go-v2, and then has nothing to do. The server closes\n" +
			"idle connections after a while. The last three are ours with the pool emptied after the call, with no pool, and with a\n" +
			"server that says \"Connection: close\".",
	}
	row := func(name string, cell func(*run) any) {
		var cells []any
		for _, run := range runs {
			cells = append(cells, cell(run))
		}
		r.Add(name, cells...)
	}
	for i, run := range runs {
		r.Columns = append(r.Columns, run.Strategy)
		if i < 3 {
			r.Panels = append(r.Panels, timeline.Panel{Title: run.Strategy, Timeline: run.Timeline})
		}
	}
	row("workers", func(r *run) any { return r.Workers })
	row("sockets open after the calls", func(r *run) any { return timeline.Open(r.After) })
	row("open in the end", func(r *run) any { return timeline.Open(r.End) })
	row("of these in CLOSE_WAIT", func(r *run) any { return r.End["CLOSE_WAIT"] })
	row("TIME_WAIT left", func(r *run) any { return r.End["TIME_WAIT"] })
	for i, run := range runs {
		if i == 0 {
			r.Expect(run.End["CLOSE_WAIT"] == run.Workers, "the %s has %d of %d connections in CLOSE_WAIT", run.Strategy, run.End["CLOSE_WAIT"], run.Workers)
			continue
		}
		r.Expect(timeline.Open(run.End) == 0, "%s: %d sockets are open in the end", run.Strategy, timeline.Open(run.End))
		if i > 2 {
			r.Expect(run.Idle == 0, "%s: %d connections were pooled", run.Strategy, run.Idle)
			r.Expect(timeline.Open(run.After) == 0, "%s: %d sockets are open after the calls", run.Strategy, timeline.Open(run.After))
		}
	}
	r.Notes = append(r.Notes, fmt.Sprintf("The %s is fasthttp's, told to look at idle connections after an hour.", lazy))
	return r, nil
}
