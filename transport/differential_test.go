package transport_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/watertight-go/watertight/transport"
)

var (
	differentialSeed   = flag.Uint64("differential.seed", 1, "of TestDifferential; 0: the time")
	differentialTrials = flag.Uint64("differential.trials", 0, "of TestDifferential; 0: 3000, 300 with -short")
)

// What comes of a generated request and a generated response is the same on net/http and on ours, but for the
// differences that are named.
func TestDifferential(t *testing.T) {
	seed := *differentialSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	trials := *differentialTrials
	switch {
	case trials > 0:
	case testing.Short():
		trials = 300
	default:
		trials = 3000
	}
	t.Logf("-differential.seed=%d", seed)
	before := log.Writer()
	log.SetOutput(io.Discard) // net/http tells of unsolicited responses
	t.Cleanup(func() { log.SetOutput(before) })
	const workers = 6
	var mu sync.Mutex
	seen := map[string]int{}
	var wg sync.WaitGroup
	for w := range uint64(workers) {
		server := startScripted(t)
		wg.Go(func() {
			for i := w; i < trials; i += workers {
				tr := newTrial(seed + i)
				std, own := server.outcome(t, tr, true), server.outcome(t, tr, false)
				named, left := compare(tr, std, own)
				if left != "" && tr.stalls {
					// One of them may have come to the point where the server stalls, and the other, on a busy machine, not.
					tr.patient = true
					std, own = server.outcome(t, tr, true), server.outcome(t, tr, false)
					named, left = compare(tr, std, own)
				}
				for i := 0; i < 10 && left != "" && own.reused && !std.reused; i++ {
					// net/http keeps a connection only if its writer comes within 50 ms to say that it is done.
					std = server.outcome(t, tr, true)
					named, left = compare(tr, std, own)
				}
				if left != "" {
					t.Error(tr.differs(std, own, named, left))
					named = "unnamed"
				}
				mu.Lock()
				seen[named]++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	for _, name := range slices.Sorted(maps.Keys(seen)) {
		t.Logf("%5d %s", seen[name], name)
	}
}

// An outcome is what a caller sees of a trial, and the server of the request.
type outcome struct {
	err     string // class of RoundTrip's error
	status  string
	proto   string
	header  http.Header
	length  int64
	coding  []string
	close   bool
	body    string
	bodyErr string // class of the body's error
	trailer http.Header
	reused  bool
	wire    string

	cause error // RoundTrip's or the body's, for the report; not compared
}

// class tells kinds of errors apart that callers tell apart.
func class(err error) string {
	var ne net.Error
	switch {
	case err == nil:
		return "none"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &ne) && ne.Timeout(), errors.Is(err, os.ErrDeadlineExceeded):
		return "timeout"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "unexpected EOF"
	case errors.Is(err, io.EOF):
		return "EOF"
	}
	return "malformed"
}

// outcome runs a trial on a new transport, and again where the client's patience ended before the server had seen the request.
func (s *scriptedServer) outcome(t *testing.T, tr *trial, std bool) *outcome {
	var o *outcome
	for range 20 {
		var began bool
		if o, began = s.try(t, tr, std); began || o.err != "timeout" {
			break
		}
	}
	return o
}

func (s *scriptedServer) try(t *testing.T, tr *trial, std bool) (o *outcome, began bool) {
	p := &performance{script: tr.script, written: make(chan struct{})}
	s.play.Store(p)
	base := &http.Transport{DialContext: p.dial}
	var rt http.RoundTripper = base
	end := base.CloseIdleConnections
	if !std {
		own := transport.From(base)
		rt, end = own, func() { _ = own.Close() }
	}
	defer p.end()
	defer end()
	o = &outcome{}
	o.first(t, s, tr, rt)
	if began = p.started.Load(); began {
		<-p.written // what comes behind a response is there before the next request
	}
	o.wire, _ = p.wire.Load().(string)
	if began || o.err != "timeout" {
		o.second(t, s, rt)
	}
	return o, began
}

func (s *scriptedServer) url() string { return "http://" + s.listener.Addr().String() }

func (o *outcome) first(t *testing.T, s *scriptedServer, tr *trial, rt http.RoundTripper) {
	ctx, cancel := context.WithTimeout(t.Context(), tr.patience())
	defer cancel()
	req, err := tr.request(ctx, s.url())
	if err != nil {
		t.Errorf("request: %v", err)
		return
	}
	resp, err := rt.RoundTrip(req)
	o.err, o.cause = class(err), err
	if err != nil {
		return
	}
	o.status, o.header = fmt.Sprintf("%d %q", resp.StatusCode, resp.Status), resp.Header
	o.proto = fmt.Sprint(resp.Proto, resp.ProtoMajor, resp.ProtoMinor, resp.Uncompressed)
	o.length, o.coding, o.close = resp.ContentLength, resp.TransferEncoding, resp.Close
	b, err := readIn(resp.Body, tr.readSize)
	o.body, o.bodyErr, o.cause = string(b), class(err), err
	_ = resp.Body.Close()
	o.trailer = resp.Trailer
}

// readIn reads a body to its end, size bytes at a time; with size 0 as io.Copy does.
func readIn(body io.Reader, size int) ([]byte, error) {
	var b strings.Builder
	if size == 0 {
		_, err := io.Copy(&b, body)
		return []byte(b.String()), err
	}
	_, err := io.CopyBuffer(struct{ io.Writer }{&b}, struct{ io.Reader }{body}, make([]byte, size))
	return []byte(b.String()), err
}

// second sends another request and notes on which connection it went.
func (o *outcome) second(t *testing.T, s *scriptedServer, rt http.RoundTripper) {
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url()+"/second", nil)
	if err != nil {
		t.Errorf("second request: %v", err)
		return
	}
	resp, err := rt.RoundTrip(req)
	if err != nil {
		o.reused = true // net/http takes what a server sent unasked for an answer
		return
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	o.reused = resp.Header.Get("Nth") != "1"
}

// compare compares two outcomes and returns the names of the differences, "same" where there are none, and what has no name.
func compare(tr *trial, std, own *outcome) (names, left string) {
	names, raw := "same", tr.script.raw()
	a := *std
	for _, d := range differences {
		if own.text() != a.text() && d.explains(tr, raw, &a, own) {
			names = strings.TrimPrefix(names+", "+d.name, "same, ")
		}
	}
	return names, a.against(own)
}

// differs tells of a difference without a name, and how to see it again.
func (t *trial) differs(std, own *outcome, names, left string) string {
	raw := t.script.raw()
	if len(raw) > 600 {
		raw = raw[:300] + "..." + raw[len(raw)-300:]
	}
	return fmt.Sprintf("-differential.seed=%d -differential.trials=1\n%s %s, body of %d, stalls %v, keep %v\nresponse %q\nexplained: %s\n%s%q\nnet/http: %v\nours:     %v",
		t.seed, t.method, t.path, len(t.body), t.stalls, t.script.keep, raw, names, left, headOf(own.wire), std.cause, own.cause)
}

// fields returns all that is compared.
func (o *outcome) fields() []string {
	return []string{
		"error " + o.err,
		fmt.Sprintf("head %s %q %q", o.proto, o.status, o.header),
		fmt.Sprintf("framing %d %q close %v", o.length, o.coding, o.close),
		fmt.Sprintf("body %q", o.body),
		"body error " + o.bodyErr,
		fmt.Sprintf("trailer %#v", o.trailer),
		fmt.Sprintf("reused %v", o.reused),
		fmt.Sprintf("wire %q", o.wire),
	}
}

func (o *outcome) text() string { return strings.Join(o.fields(), "\n") }

// against lists where two outcomes differ.
func (o *outcome) against(other *outcome) string {
	var b strings.Builder
	theirs := other.fields()
	for i, f := range o.fields() {
		if f != theirs[i] {
			fmt.Fprintf(&b, "net/http: %s\nours:     %s\n", f, theirs[i])
		}
	}
	return b.String()
}
