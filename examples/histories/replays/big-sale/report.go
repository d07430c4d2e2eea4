package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/watertight-go/watertight/examples/histories/replays/internal/history"
	"github.com/watertight-go/watertight/internal/timeline"
)

// newReport tells what the replay showed, and what it should have.
func newReport(runs []*run, err error) (*history.Report, error) {
	if err != nil {
		return nil, err
	}
	std, ours := runs[0], runs[1]
	r := &history.Report{
		Title: fmt.Sprintf("big-sale: %d orders, half of them forget a body, and %d file descriptors", std.Orders, descriptors),
		Intro: fmt.Sprintf("%d orders to a shop that asks its backend for each, %d at once, with %d file descriptors. Of every eight, four are\n"+
			"good; the others panic, return early, fail to decode and ignore an error, and forget the body. Then a backend that\n"+
			"stops to answer while its name leads to another (MaxConnLifetime of ours is %v).", std.Orders, customers, descriptors, lifetime),
		Columns: []string{std.Transport, ours.Transport},
	}
	row := func(name string, cell func(*run) any) { r.Add(name, cell(std), cell(ours)) }
	row("orders answered as they should be", func(r *run) any { return r.Served })
	row("orders that failed", func(r *run) any { return r.Failed })
	row("orders until the first failed", func(r *run) any { return r.Before })
	row("most file descriptors seen open", func(r *run) any { return r.Descriptors })
	row("sockets in CLOSE_WAIT after the sale", func(r *run) any { return r.Sockets["CLOSE_WAIT"] })
	row("guilty lines named in the log, of 4", func(r *run) any { return len(r.Lines) })
	row("backend replaced: sockets to it before", func(r *run) any { return r.Warm })
	row("orders that failed afterwards", func(r *run) any { return fmt.Sprintf("%d of %d", r.Lost, r.After) })
	row("sockets to it that linger", func(r *run) any { return r.Lingers })
	row("groups in the pool at rest", func(r *run) any {
		if r.Origins < 0 {
			return "it cannot tell"
		}
		return r.Origins
	})
	r.Notes = append(r.Notes, "An order to http.Transport that failed: "+std.Error, "The log of ours names:")
	for _, line := range ours.Lines {
		r.Notes = append(r.Notes, "    "+line)
	}
	for _, run := range runs {
		r.Panels = append(r.Panels, timeline.Panel{Title: run.Transport, Timeline: run.Timeline})
	}
	r.Expect(strings.Contains(std.Error, "too many open files"), "http.Transport did not run out of descriptors: %q", std.Error)
	r.Expect(std.Failed > std.Orders/3, "only %d orders failed with http.Transport", std.Failed)
	r.Expect(std.Lingers > 0, "http.Transport kept no connection to the backend that was replaced")
	r.Expect(ours.Failed == 0 && ours.Served == ours.Orders, "%d orders failed with ours: %s", ours.Failed, ours.Error)
	r.Expect(timeline.Open(ours.Sockets) == 0, "ours still has sockets after the sale: %v", ours.Sockets)
	for _, name := range guilty {
		named := slices.ContainsFunc(ours.Lines, func(line string) bool { return strings.HasPrefix(line, name+" ") })
		r.Expect(named, "the log of ours does not name the line in %s", name)
	}
	r.Expect(ours.Warm > 0 && ours.Lingers == 0, "ours has %d of %d connections to the backend that was replaced", ours.Lingers, ours.Warm)
	r.Expect(ours.Origins == 0, "the pool of ours still has %d groups", ours.Origins)
	return r, nil
}
