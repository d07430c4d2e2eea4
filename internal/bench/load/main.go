// Load measures what a request costs its client: CPU time, latency, throughput and memory, for the transport and its peers, beside a
// loop that does nothing but write and read bytes that it knows. Each client has a process of its own, with a server for it alone in another; they
// take turns in short rounds, so that a machine that is faster one minute than the next is so for all of them.
//
//	go -C internal/bench run ./load [-rounds 5] [-turn 300ms] [-cases regexp] [-subjects regexp] [-out directory]
//
// It prints tables in Markdown, and with -out writes them and a plot for each.
package main

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"time"

	"github.com/watertight-go/watertight/internal/bench/process"
)

func main() {
	process.Play(map[string]func(args string) process.Role{"server": server, "client": client})
	plan := plan{}
	flag.IntVar(&plan.rounds, "rounds", 5, "rounds per case and number of workers; the median counts")
	flag.DurationVar(&plan.turn, "turn", 300*time.Millisecond, "how long a client's turn is in each round")
	cases := flag.String("cases", ".", "regular expression of the cases to measure")
	only := flag.String("subjects", ".", "regular expression of the subjects to measure, the first aside")
	out := flag.String("out", "", "directory for the tables and plots; it is made if need be")
	flag.Parse()
	results, err := plan.measure(regexp.MustCompile(*cases), regexp.MustCompile(*only))
	if err == nil {
		err = report(os.Stdout, results, *out)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}
