package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"runtime"
	"runtime/metrics"
	"slices"
	"sync"
	"time"

	"github.com/watertight-go/watertight/internal/bench/process"
)

// A turn is what a client measured in one turn.
type turn struct {
	Requests      int
	Wall, CPU     time.Duration
	P50, P99      time.Duration
	Allocs, Bytes float64       // per request
	Locked        time.Duration // waited for locks by all goroutines together
	Failure       string
}

// perRequest returns the CPU time of one request.
func (t turn) perRequest() float64 { return float64(t.CPU) / float64(max(t.Requests, 1)) }

// client plays one subject in one scene. Its commands are durations: for so long it makes requests.
func client(args string) process.Role {
	return func(in *bufio.Scanner, out io.Writer) error {
		var t target
		if err := json.Unmarshal([]byte(args), &t); err != nil {
			return err
		}
		do, end := subjects[t.Subject](t)
		defer end()
		// Most programs have a timer that is set, some subjects as well. Go's scheduler needs more time for a process that has one, a
		// tenth of a request and more where there is one at a time: that is nobody's merit.
		defer time.AfterFunc(time.Hour, func() {}).Stop()
		for in.Scan() {
			length, err := time.ParseDuration(in.Text())
			if err != nil {
				return err
			}
			if err := process.Answer(out, play(do, t.Scene.Workers, length)); err != nil {
				return err
			}
		}
		return in.Err()
	}
}

// everyNth request is timed, as looking at the clock has its price.
const everyNth = 8

func play(do do, workers int, length time.Duration) (result turn) {
	var mu sync.Mutex // guards the variables below
	var latencies []time.Duration
	var failure error
	var wg sync.WaitGroup
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	locked := waitedForLocks()
	began, cpu := time.Now(), cpuTime()
	for range workers {
		wg.Go(func() {
			var own []time.Duration
			var err error
			n := 0
			for err == nil && time.Since(began) < length {
				for range everyNth - 1 {
					err = errors.Join(err, do())
				}
				start := time.Now()
				err = errors.Join(err, do())
				own = append(own, time.Since(start))
				n += everyNth
			}
			mu.Lock()
			defer mu.Unlock()
			result.Requests += n
			latencies = append(latencies, own...)
			failure = errors.Join(failure, err)
		})
	}
	wg.Wait()
	result.CPU, result.Wall, result.Locked = cpuTime()-cpu, time.Since(began), waitedForLocks()-locked
	runtime.ReadMemStats(&after)
	result.Allocs = float64(after.Mallocs-before.Mallocs) / float64(max(result.Requests, 1))
	result.Bytes = float64(after.TotalAlloc-before.TotalAlloc) / float64(max(result.Requests, 1))
	slices.Sort(latencies)
	if n := len(latencies); n > 0 {
		result.P50, result.P99 = latencies[n/2], latencies[n*99/100]
	}
	if failure != nil {
		result.Failure = failure.Error()
	}
	return result
}

// waitedForLocks returns how long the goroutines of this process have waited for mutexes, the runtime's among them.
func waitedForLocks() time.Duration {
	sample := []metrics.Sample{{Name: "/sync/mutex/wait/total:seconds"}}
	metrics.Read(sample)
	return time.Duration(sample[0].Value.Float64() * float64(time.Second))
}
