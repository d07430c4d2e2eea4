package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/watertight-go/watertight/examples/histories/replays/internal/history"
	"github.com/watertight-go/watertight/internal/timeline"
)

// replay plays HAProxy, and then the other servers.
func replay(s *history.Stage) (behind []*proxied, under []*loaded, err error) {
	if behind, err = replayProxy(s); err != nil {
		return nil, nil, err
	}
	under, err = replayReloads(s)
	return behind, under, err
}

// newReport tells what the replay showed, and what it should have.
func newReport(behind []*proxied, under []*loaded, err error) (*history.Report, error) {
	if err != nil {
		return nil, err
	}
	r := &history.Report{
		Title: fmt.Sprintf("half-closed-proxy: pods vanish behind HAProxy, under %d open bodies", bodies),
		Intro: fmt.Sprintf("Each client holds %d bodies through HAProxy (mode tcp, timeouts of 2 h) when the pods behind it are killed: sockets a while\n"+
			"later, by HAProxy's options. Then nginx and Apache httpd under load, first undisturbed, then reloaded, and nginx' workers killed.", bodies),
		Columns: []string{history.Std, history.Ours},
	}
	sets := len(behind) / 2
	for i := range sets {
		std, ours := behind[i], behind[i+sets]
		r.Add(std.Options+": client's sockets in CLOSE_WAIT", std.HalfOpen, ours.HalfOpen)
		r.Add("  sockets that HAProxy still has to the pods", std.Proxy, ours.Proxy)
		r.Expect(std.HalfOpen == bodies, "http.Transport has %d sockets in CLOSE_WAIT behind HAProxy, %s", std.HalfOpen, std.Options)
		r.Expect(ours.Open == 0, "ours has %d sockets open, %d in CLOSE_WAIT, behind HAProxy, %s", ours.Open, ours.HalfOpen, ours.Options)
		r.Expect(ours.Proxy == 0, "HAProxy has %d sockets for ours, %s", ours.Proxy, ours.Options)
		if i == 0 {
			r.Expect(std.Proxy == bodies, "HAProxy has %d sockets for http.Transport", std.Proxy)
		}
	}
	for _, i := range []int{0, sets - 1, sets} {
		r.Panels = append(r.Panels, timeline.Panel{Title: behind[i].Transport + ", HAProxy " + behind[i].Options, Timeline: behind[i].Timeline})
	}
	for _, l := range under {
		l.report(r)
	}
	return r, nil
}

// report adds what the clients met at a server.
func (l *loaded) report(r *history.Report) {
	phase := func(name string, tallies map[string]tally) {
		std, ours := tallies[history.Std], tallies[history.Ours]
		count := func(failed, all int) string { return fmt.Sprintf("%d of %d", failed, all) }
		r.Add(name+": GETs that failed", count(std.GetsFailed, std.Gets), count(ours.GetsFailed, ours.Gets))
		r.Add("  POSTs that failed", count(std.PostsFailed, std.Posts), count(ours.PostsFailed, ours.Posts))
		for _, client := range r.Columns {
			r.Notes = append(r.Notes, failures(name, client, tallies[client].Errors)...)
		}
		r.Expect(ours.GetsFailed == 0, "%s: %d GETs of ours failed: %v", name, ours.GetsFailed, ours.Errors)
		r.Expect(ours.Gets > 100 && ours.Posts > 100, "%s: only %d GETs and %d POSTs were made", name, ours.Gets, ours.Posts)
	}
	phase(l.Server+", undisturbed", l.Calm)
	disturbed := fmt.Sprintf("%s, %d reloads", l.Server, l.Reloads)
	if l.Killed > 0 {
		disturbed += fmt.Sprintf(", %d workers killed", l.Killed)
	}
	phase(disturbed, l.Tallies)
	calm, ours := l.Calm[history.Ours], l.Tallies[history.Ours]
	r.Expect(calm.PostsFailed == 0, "%s: requests of ours failed at an undisturbed server: %v", l.Server, calm.Errors)
	most := (l.Reloads + l.Killed) * (posters + idlers/2) // one for each that was on its way, each time
	r.Expect(ours.PostsFailed <= most, "%s: %d POSTs of ours failed: %v", l.Server, ours.PostsFailed, ours.Errors)
}

// failures tells why requests failed, a line for each reason.
func failures(server, client string, errors map[string]int) (lines []string) {
	for text, n := range errors {
		lines = append(lines, fmt.Sprintf("%s, %s: %d times %s", server, client, n, strings.TrimSpace(text)))
	}
	slices.Sort(lines)
	return lines
}
