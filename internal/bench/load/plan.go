package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"time"

	"github.com/watertight-go/watertight/internal/bench/process"
)

// A plan is how much to measure.
type plan struct {
	rounds int
	turn   time.Duration
}

// An outcome is what came out for a group.
type outcome struct {
	group
	results []result
}

// A result is what a subject did in a scene: medians over the rounds.
type result struct {
	Scene   scene
	Subject string
	Ratio   float64 // CPU time per request, times that of the first subject in the same round
	CPU     time.Duration
	PerSec  float64
	P50     time.Duration
	P99     time.Duration
	Allocs  float64
	Bytes   float64
	Locked  float64 // how much of its time a goroutine waited for locks
}

// warmUp is how long each client works before it is measured: its connections are open then, its pools filled.
const warmUp = 200 * time.Millisecond

// measure plays the scenes whose names match cases.
func (p *plan) measure(cases, only *regexp.Regexp) (outcomes []outcome, err error) {
	servers := servers{}
	defer servers.end()
	for _, g := range groups() {
		out, first := outcome{group: g}, g.Subjects[0]
		out.Subjects = slices.DeleteFunc(g.Subjects, func(name string) bool { return name != first && !only.MatchString(name) })
		for _, sc := range g.Scenes {
			text := g.name(sc)
			if !cases.MatchString(text) {
				continue
			}
			fmt.Fprintln(os.Stderr, text)
			results, err := p.play(sc, servers, out.Subjects)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", text, err)
			}
			out.results = append(out.results, results...)
		}
		if len(out.results) > 0 {
			outcomes = append(outcomes, out)
		}
	}
	if len(outcomes) == 0 {
		some := groups()[0]
		return nil, fmt.Errorf("no case matches %q: their names are like %q", cases, some.name(some.Scenes[0]))
	}
	return outcomes, nil
}

// servers are those of the subjects: the connections of all to one might be more than a process may have.
type servers map[string]*process.Child

// of returns where the server of a subject listens, which it starts if need be.
func (s servers) of(name string) (at addresses, err error) {
	if s[name] == nil {
		if s[name], err = process.Start("server", ""); err != nil {
			return at, err
		}
	}
	err = s[name].Do("addresses", &at)
	return at, err
}

func (s servers) end() {
	for _, child := range s {
		child.End()
	}
}

// play plays a scene with every subject in turns.
func (p *plan) play(sc scene, servers servers, names []string) (results []result, err error) {
	clients := map[string]*process.Child{}
	defer func() {
		for _, c := range clients {
			c.End()
		}
	}()
	for _, name := range names {
		at, err := servers.of(name)
		if err != nil {
			return nil, err
		}
		addr := at.HTTP
		switch {
		case sc.HTTP2:
			addr = at.HTTP2
		case sc.HTTPS:
			addr = at.HTTPS
		}
		args, err := json.Marshal(target{Subject: name, Scene: sc, Addr: addr, Certificate: at.Certificate})
		if err != nil {
			return nil, err
		}
		if clients[name], err = process.Start("client", string(args)); err != nil {
			return nil, err
		}
		if _, err := takeTurn(clients[name], name, warmUp); err != nil {
			return nil, err
		}
	}
	turns := map[string][]turn{}
	shuffled := slices.Clone(names)
	for range p.rounds {
		rand.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		for _, name := range shuffled {
			t, err := takeTurn(clients[name], name, p.turn)
			if err != nil {
				return nil, err
			}
			turns[name] = append(turns[name], t)
		}
	}
	for _, name := range names {
		results = append(results, summarize(sc, name, turns[name], turns[names[0]]))
	}
	return results, nil
}

func takeTurn(c *process.Child, name string, length time.Duration) (t turn, err error) {
	if err = c.Do(length.String(), &t); err == nil && t.Failure != "" {
		err = fmt.Errorf("%s: %s", name, t.Failure)
	}
	return t, err
}

func summarize(sc scene, name string, turns, first []turn) result {
	over := func(f func(i int) float64) float64 {
		values := make([]float64, len(turns))
		for i := range turns {
			values[i] = f(i)
		}
		slices.Sort(values)
		return values[len(values)/2]
	}
	return result{
		Scene: sc, Subject: name,
		Ratio:  over(func(i int) float64 { return turns[i].perRequest() / first[i].perRequest() }),
		CPU:    time.Duration(over(func(i int) float64 { return turns[i].perRequest() })),
		PerSec: over(func(i int) float64 { return float64(turns[i].Requests) / turns[i].Wall.Seconds() }),
		P50:    time.Duration(over(func(i int) float64 { return float64(turns[i].P50) })),
		P99:    time.Duration(over(func(i int) float64 { return float64(turns[i].P99) })),
		Allocs: over(func(i int) float64 { return turns[i].Allocs }),
		Bytes:  over(func(i int) float64 { return turns[i].Bytes }),
		Locked: over(func(i int) float64 { return turns[i].Locked.Seconds() / turns[i].Wall.Seconds() / float64(sc.Workers) }),
	}
}
