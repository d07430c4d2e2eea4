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

// A plan is how much to measure, and what came out.
type plan struct {
	rounds  int
	turn    time.Duration
	results []result
}

// A result is what a subject did in a scene: medians over the rounds.
type result struct {
	Scene   scene
	Subject string
	Ratio   float64 // CPU time per request, times that of the floor in the same round
	CPU     time.Duration
	PerSec  float64
	P50     time.Duration
	P99     time.Duration
	Allocs  float64
	Bytes   float64
}

// warmUp is how long each client works before it is measured: its connections are open then, its pools filled.
const warmUp = 200 * time.Millisecond

func (p *plan) measure(cases, only *regexp.Regexp) error {
	s, err := process.Start("server", "")
	if err != nil {
		return err
	}
	defer s.End()
	var at addresses
	if err := s.Do("addresses", &at); err != nil {
		return err
	}
	for _, sc := range scenes() {
		if !cases.MatchString(sc.String()) {
			continue
		}
		fmt.Fprintln(os.Stderr, sc)
		if err := p.play(sc, at, only); err != nil {
			return fmt.Errorf("%v: %w", sc, err)
		}
	}
	return nil
}

// play plays a scene with every subject in turns.
func (p *plan) play(sc scene, at addresses, only *regexp.Regexp) error {
	clients := map[string]*process.Child{}
	defer func() {
		for _, c := range clients {
			c.End()
		}
	}()
	addr := at.HTTP
	if sc.HTTPS {
		addr = at.HTTPS
	}
	names := slices.DeleteFunc(slices.Clone(order), func(name string) bool { return name != "floor" && !only.MatchString(name) })
	for _, name := range names {
		args, err := json.Marshal(target{Subject: name, Scene: sc, Addr: addr, Certificate: at.Certificate})
		if err != nil {
			return err
		}
		if clients[name], err = process.Start("client", string(args)); err != nil {
			return err
		}
		if _, err := takeTurn(clients[name], name, warmUp); err != nil {
			return err
		}
	}
	turns := map[string][]turn{}
	shuffled := slices.Clone(names)
	for range p.rounds {
		rand.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		for _, name := range shuffled {
			t, err := takeTurn(clients[name], name, p.turn)
			if err != nil {
				return err
			}
			turns[name] = append(turns[name], t)
		}
	}
	for _, name := range names {
		p.results = append(p.results, summarize(sc, name, turns[name], turns["floor"]))
	}
	return nil
}

func takeTurn(c *process.Child, name string, length time.Duration) (t turn, err error) {
	if err = c.Do(length.String(), &t); err == nil && t.Failure != "" {
		err = fmt.Errorf("%s: %s", name, t.Failure)
	}
	return t, err
}

func summarize(sc scene, name string, turns, floor []turn) result {
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
		Ratio:  over(func(i int) float64 { return turns[i].perRequest() / floor[i].perRequest() }),
		CPU:    time.Duration(over(func(i int) float64 { return turns[i].perRequest() })),
		PerSec: over(func(i int) float64 { return float64(turns[i].Requests) / turns[i].Wall.Seconds() }),
		P50:    time.Duration(over(func(i int) float64 { return float64(turns[i].P50) })),
		P99:    time.Duration(over(func(i int) float64 { return float64(turns[i].P99) })),
		Allocs: over(func(i int) float64 { return turns[i].Allocs }),
		Bytes:  over(func(i int) float64 { return turns[i].Bytes }),
	}
}
