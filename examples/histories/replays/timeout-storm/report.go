package main

import (
	"fmt"
	"strings"

	"github.com/watertight-go/watertight/examples/histories/replays/internal/history"
	"github.com/watertight-go/watertight/internal/timeline"
)

// newReport tells what the replay showed, and what it should have.
func newReport(runs []*run, err error) (*history.Report, error) {
	if err != nil {
		return nil, err
	}
	r := &history.Report{
		Title: fmt.Sprintf("timeout-storm: requests that give up after %v, answers that come after %v", timeout, answerTime),
		Intro: fmt.Sprintf("%d quick requests with an idle timeout of 30, meant as seconds. Then %d workers whose requests give up after %v, with a\n"+
			"server that answers after %v; ours has a SalvageTimeout of %v. Then, with ours, %d requests at once that nobody answers.",
			quick, workers, timeout, answerTime, salvage, crowd),
	}
	row := func(name string, cell func(*run) any) {
		var cells []any
		for _, run := range runs {
			cells = append(cells, cell(run))
		}
		r.Add(name, cells...)
	}
	for _, run := range runs {
		r.Columns = append(r.Columns, run.Client)
		r.Panels = append(r.Panels, timeline.Panel{Title: run.Client, Timeline: run.Timeline})
	}
	row(fmt.Sprintf("idle timeout 30: connections for %d requests", quick), func(r *run) any {
		if strings.Contains(r.Slip.Error, "30ns") {
			return "refused"
		}
		return r.Slip.Dials
	})
	row("storm: requests", func(r *run) any { return r.Storm.Requests })
	row("of them timed out", func(r *run) any { return r.Storm.TimedOut })
	row("connections opened", func(r *run) any { return r.Storm.Dials })
	row("sockets in TIME_WAIT at its end", func(r *run) any { return r.TimeWait })
	row(fmt.Sprintf("no answers: connections that wait, of %d", crowd), func(r *run) any {
		if r.Never.Requests == 0 {
			return "-"
		}
		return r.Waiting
	})
	row("after SalvageTimeout", func(r *run) any {
		if r.Never.Requests == 0 {
			return "-"
		}
		return r.Remaining
	})
	for _, run := range runs {
		if run.Client != history.Ours {
			r.Expect(run.Slip.Dials > quick/2, "%s opened only %d connections with the slip", run.Client, run.Slip.Dials)
			r.Expect(run.Storm.TimedOut > 10*workers && run.Storm.Dials > run.Storm.TimedOut*9/10, "%s opened %d connections for %d requests that timed out", run.Client, run.Storm.Dials, run.Storm.TimedOut)
			r.Expect(int64(run.TimeWait) > run.Storm.TimedOut/2, "%s left %d sockets in TIME_WAIT", run.Client, run.TimeWait)
			continue
		}
		r.Notes = append(r.Notes, "Ours says of the slip: "+run.Slip.Error)
		r.Expect(run.Slip.Dials == 0 && strings.Contains(run.Slip.Error, "IdleConnTimeout"), "ours does not refuse the slip: %q", run.Slip.Error)
		r.Expect(run.Storm.TimedOut > 10*workers, "only %d requests of ours timed out", run.Storm.TimedOut)
		r.Expect(run.Storm.Dials <= 4*workers, "ours opened %d connections for %d workers", run.Storm.Dials, workers)
		r.Expect(run.TimeWait <= 4*workers, "ours left %d sockets in TIME_WAIT", run.TimeWait)
		r.Expect(run.Never.TimedOut == crowd, "%d of %d requests timed out that nobody answers: %s", run.Never.TimedOut, crowd, run.Never.Error)
		r.Expect(run.Waiting > 0 && run.Waiting <= maxSalvaged, "%d connections wait for an answer, of at most %d", run.Waiting, maxSalvaged)
		r.Expect(run.Remaining == 0, "%d connections still wait after SalvageTimeout", run.Remaining)
	}
	return r, nil
}
