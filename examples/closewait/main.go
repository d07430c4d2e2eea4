// Closewait runs one careless program twice, on http.Transport and on transport.Transport, and shows what each leaves
// behind, as the kernel sees it.
//
//	go run ./examples/closewait [-n requests] [-c concurrency] [-url URL] [-json] [-svg FILE]
//
// Without -url it starts servers of its own, in a process of their own. Each run has a process of its own as well, so
// that its sockets, descriptors and goroutines are counted cleanly, from outside. The exit status is 0 if ours leaves
// nothing, 1 if it leaks or cannot be run, and 2 for a wrong flag or an unreachable URL.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"time"
)

// roleVariable tells a process of this program what it is; unset, it is the one that the user started.
const roleVariable = "CLOSEWAIT_ROLE"

func main() {
	var err error
	switch role := os.Getenv(roleVariable); role {
	case "":
		os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
	case roleServer:
		err = serve(os.Stdin, os.Stdout)
	case roleClient:
		err = beCareless(os.Stdin, os.Stdout)
	default:
		err = fmt.Errorf("unknown role %q", role)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "closewait:", err)
		os.Exit(1)
	}
}

const (
	exitClean = 0
	exitLeak  = 1
	exitUsage = 2
)

// options are what the user asked for.
type options struct {
	url         string
	requests    int
	concurrency int
	json        bool
	svg         string
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("closewait", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&o.url, "url", "", "run against this `URL` instead of servers of its own")
	flags.IntVar(&o.requests, "n", 200, "careless `requests`")
	flags.IntVar(&o.concurrency, "c", 20, "requests at once")
	flags.BoolVar(&o.json, "json", false, "print the figures as JSON")
	flags.StringVar(&o.svg, "svg", "", "draw the sockets over time into this `FILE`")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			flags.SetOutput(stderr)
			fmt.Fprintln(stderr, "Closewait runs a careless program on http.Transport and on transport.Transport and shows what each leaves behind.")
			flags.PrintDefaults()
		}
		return o, err
	}
	switch {
	case flags.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case o.requests < 1 || o.requests > 100_000:
		return o, fmt.Errorf("-n is %d: give a number from 1 to 100000", o.requests)
	case o.concurrency < 1 || o.concurrency > 1000:
		return o, fmt.Errorf("-c is %d: give a number from 1 to 1000", o.concurrency)
	case o.url != "":
		return o, reach(o.url)
	}
	return o, nil
}

// reach reports why a URL cannot be used.
func reach(raw string) error {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("-url %q is not an http or https URL", raw)
	}
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(raw)
	if err != nil {
		return fmt.Errorf("-url: %w", err)
	}
	return resp.Body.Close()
}

// run is the whole program; it returns the exit status.
func run(args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return exitClean
	}
	if err != nil {
		fmt.Fprintf(stderr, "closewait: %v\n", err)
		return exitUsage
	}
	job := job{Requests: o.requests, Concurrency: o.concurrency, Small: o.url, Large: o.url, Slow: o.url, CloseIdle: o.url != ""}
	if o.url == "" {
		server, err := startServer()
		if err != nil {
			fmt.Fprintf(stderr, "closewait: starting the servers: %v\n", err)
			return exitLeak
		}
		defer server.stop()
		job.Small, job.Large, job.Slow = server.small, server.large, server.slow
	}
	progress := newProgress(stderr)
	var results []result
	for _, name := range []string{std, ours} {
		job.Transport = name
		r, err := measure(job, progress)
		if err != nil {
			fmt.Fprintf(stderr, "closewait: %s: %v\n", name, err)
			return exitLeak
		}
		results = append(results, r)
	}
	if o.svg != "" {
		if err := draw(o.svg, o.requests, results); err != nil {
			fmt.Fprintf(stderr, "closewait: -svg: %v\n", err)
			return exitLeak
		}
	}
	if o.json {
		enc := json.NewEncoder(stdout)
		enc.SetIndent("", "  ")
		_ = enc.Encode(results)
	} else {
		report(stdout, o, results)
	}
	if results[1].leaks() {
		return exitLeak
	}
	return exitClean
}
