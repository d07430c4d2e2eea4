//go:build linux

package transport_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/internal/badserver"
	"github.com/watertight-go/watertight/transport"
)

var rewritePage = flag.Bool("rewrite", false, "write docs/reliability.md or docs/framing.md anew")

// faultModes are how the faulty server is talked to; "tunnel" is https through a proxy that is asked to CONNECT.
var faultModes = []string{"http", "https", "tunnel", "http2"}

// in reports whether the fault is one in a mode.
func (f fault) in(mode string) bool {
	switch {
	case f.beneath != nil:
		return !strings.Contains(f.name, "TLS") || mode != "http"
	case f.proxy != nil:
		return mode == "tunnel"
	case mode == "http2":
		return f.http2 != nil
	case f.sealed != 0 && mode == "http":
		return false
	}
	return f.http1 != nil
}

// TestFaults has a server misbehave in every way, at every moment, over everything. In each case RoundTrip and the reading of the body
// return within their bounds; what the caller sees is what the row says; the request's body is closed as often as it was opened; requests to
// another origin are served meanwhile, and the next one to this afterwards, with what belongs to it; and no connection, no body and no
// wait is left, by our count and by the kernel's, nor a goroutine.
func TestFaults(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "other") }))
	defer other.Close()
	var running sync.WaitGroup
	defer running.Wait()
	quick, slow := make(chan struct{}, 8), make(chan struct{}, 16) // which wait most of the time
	for _, places := range []chan struct{}{quick, slow} {
		running.Go(func() {
			for _, f := range faults() {
				for _, mode := range faultModes {
					if !f.in(mode) || (f.limit() < patience) != (places == slow) {
						continue
					}
					places <- struct{}{}
					running.Go(func() {
						defer func() { <-places }()
						t.Run(f.String()+", "+mode, func(t *testing.T) { suffer(t, f, mode, other.URL) })
					})
				}
			}
		})
	}
}

// limit is how long an exchange with the faulty server may take: not long where time is what ends it, or the flood behind it, and where it
// is not, as long as on the slowest machine.
func (f fault) limit() time.Duration {
	for _, waits := range []string{"silence", "by the byte", "yes, and then nothing", "GOAWAY with an error", "endless 1xx, in HEADERS"} {
		if strings.Contains(f.name, waits) {
			return 2 * time.Second
		}
	}
	return patience
}

// suffer plays one fault.
func suffer(t *testing.T, f fault, mode, other string) {
	if f.sealed != 0 {
		transport.SkipUnlessSealable(t)
	}
	script := f.http1
	if mode == "http2" {
		script = f.http2
		if f.want2 != "" {
			f.want = f.want2
		}
	}
	var ready, struck chan struct{}
	if f.struck > 0 && mode != "http2" {
		ready, struck = make(chan struct{}), make(chan struct{})
		script = append(append(after(script[:f.struck-1], badserver.Wait(ready)), script[f.struck-1], badserver.Signal(struck)), script[f.struck:]...)
	}
	server := startFaulty(t, mode, f, script)
	trusted, limit := trust(server), f.limit()
	if f.sealed != 0 {
		trusted.ClientSessionCache = tls.NewLRUClientSessionCache(1) // or nobody asks what a ticket says
	}
	tr := &transport.Transport{
		TLSClientConfig: trusted, ForceAttemptHTTP2: mode == "http2",
		ResponseHeaderTimeout: limit, TLSHandshakeTimeout: patience, MaxResponseHeaderBytes: 64 << 10, MaxConnsPerHost: 1,
		HTTP2: &http.HTTP2Config{SendPingTimeout: limit / 2, PingTimeout: limit / 2},
	}
	if f.bounded(mode) == slowHandshake {
		tr.TLSHandshakeTimeout = limit
	}
	if mode == "http2" && (f.bounded(mode) == unansweredPing || strings.HasPrefix(f.name, "silence")) {
		tr.ResponseHeaderTimeout = patience
		tr.HTTP2 = &http.HTTP2Config{SendPingTimeout: limit / 4, PingTimeout: limit / 4}
	}
	to := server.URL
	if mode == "tunnel" {
		proxy := startFaultyProxy(t, f.proxy).URL
		u, err := url.Parse(proxy)
		require.NoError(t, err)
		tr.Proxy = func(req *http.Request) (*url.URL, error) {
			if req.URL.Host == strings.TrimPrefix(other, "http://") {
				return nil, nil
			}
			return u, nil
		}
		to = proxy
	}
	pprof.SetGoroutineLabels(pprof.WithLabels(t.Context(), pprof.Labels("fault", t.Name()))) // and those of all that begin here
	defer func() {
		assert.NoError(t, tr.Close())
		pprof.SetGoroutineLabels(context.Background())
		require.Eventually(t, func() bool { return len(socketsTo(t, to)) == 0 }, patience, 10*tick, "sockets after Close")
		require.Eventually(t, func() bool { return !strings.Contains(goroutines(t), strconv.Quote(t.Name())) }, patience, 10*tick, "goroutines after Close")
	}()
	if f.first {
		got, err := tryFetch(t.Context(), tr, server.URL+"/first", nil)
		require.NoError(t, err)
		require.Equal(t, "first", got)
	}
	switch {
	case struck != nil:
		close(ready)
		<-struck // what was written to a loopback connection has arrived; but not through a proxy
		require.Eventually(t, func() bool {
			held := socketsTo(t, to)
			return mode != "tunnel" || len(held) == 0 || held[0].Unread >= max(f.spoils, 1)
		}, patience, tick, "nothing has come through the proxy")
	case f.moment == "idle" && f.first && f.want != kept:
		require.Eventually(t, func() bool { // of a reset the kernel forgets it before we know
			return len(socketsTo(t, to)) == 0 && tr.Stats().Origins[server.URL].Open == 0
		}, patience, tick, "the connection goes on")
	}

	bodies := &uploads{size: 10}
	if f.upload {
		bodies.size = 1 << 20
	}
	within := 2 * patience
	if f.bounded(mode) == context.DeadlineExceeded.Error() {
		within = 2 * limit
	}
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	returned := make(chan struct{})
	var got string
	var err error
	go func() {
		defer close(returned)
		got, err = tryFetch(ctx, tr, server.URL+"/fault", bodies)
	}()
	elsewhere, otherErr := tryFetch(t.Context(), tr, other, nil)
	require.NoError(t, otherErr)
	require.Equal(t, "other", elsewhere)
	select {
	case <-returned:
	case <-time.After(within + patience):
		t.Fatal("the request hangs")
	}
	f.judge(t, tr, mode, got, err)
	require.Eventually(t, bodies.allClosed, patience, tick, "a body of the request was not closed once")

	switch {
	case mode == "http2" && f.name == "silence" && f.want == failed:
		require.Eventually(t, func() bool { return len(socketsTo(t, to)) == 0 }, patience, 10*tick, "a ping that is not answered ends the connection")
	case f.name == nextStream: // nobody can tell it from an answer if it comes when that has begun
		require.Eventually(t, func() bool { return len(socketsTo(t, to)) == 0 }, patience, 10*tick, "an answer to nothing ends the connection")
	}
	next, err := tryFetch(t.Context(), tr, server.URL+"/next", nil)
	for tries := 0; tries < 5 && isTimeout(err); tries++ { // on a machine with much else to do a handshake may take longer than limit
		next, err = tryFetch(t.Context(), tr, server.URL+"/next", nil)
	}
	require.NoError(t, err)
	assert.Equal(t, "next", next)
	if f.want == kept {
		assert.EqualValues(t, 1, tr.Stats().Origins[server.URL].Dials)
	}
	require.Eventually(t, func() bool {
		st := tr.Stats()
		return st.Leased == 0 && st.Dialing == 0 && st.Waiting == 0 && st.Bodies == 0 && len(socketsTo(t, to))+1 >= st.Open
	}, patience, tick, "something is left: %+v", tr.Stats())
}

// judge compares what the caller saw with what the row says.
func (f fault) judge(t *testing.T, tr *transport.Transport, mode, got string, err error) {
	t.Helper()
	var partial *partialError
	switch retries := tr.Stats().Retries; {
	case f.want == answered && f.first:
		require.NoError(t, err) // on another connection, or sent again there
		assert.Equal(t, "fault", got)
		if f.moment == "idle" {
			assert.Zero(t, retries)
		}
	case f.want == answered, f.want == kept:
		require.NoError(t, err)
		assert.Equal(t, "fault", strings.TrimSuffix(got, " and more"))
		assert.Zero(t, retries)
	case f.want == again:
		require.NoError(t, err)
		assert.Equal(t, "fault", got)
		assert.NotZero(t, retries)
	case f.want == failed:
		require.Error(t, err)
		assert.False(t, errors.As(err, &partial), "%v", err)
	case f.want == lost:
		require.Error(t, err)
	case f.want == cut:
		require.Error(t, err)
		assert.True(t, errors.As(err, &partial), "%v", err)
	}
	if f.says != "" {
		assert.ErrorContains(t, err, f.says)
	}
	if bounded := f.bounded(mode); bounded != "" {
		assert.ErrorContains(t, err, bounded)
	} else {
		assert.False(t, isTimeout(err), "nothing here is about time: %v", err)
	}
}

// What is said of an HTTP/2 server that answers no ping, and of one whose handshake does not end.
const (
	unansweredPing = "nor an answer to a ping"
	slowHandshake  = "TLSHandshakeTimeout"
)

// bounded is what ends an exchange with a server that takes its time, as the error names it; "": it does not.
func (f fault) bounded(mode string) string {
	slow := strings.Contains(f.name, "by the byte")
	switch still := strings.HasPrefix(f.name, "silence"); {
	case f.name == "GOAWAY with an error": // which is about other requests, and this one stays unansweredPing
		return "ResponseHeaderTimeout"
	case f.name == "yes, and then nothing", f.moment == "handshake" && mode != "http" && (still || slow):
		return slowHandshake
	case !still && !slow || f.want == again || mode == "http2" && f.want2 == again:
		return ""
	case mode == "http2" && (still || f.moment == "head"): // half a frame is no sign of life
		return unansweredPing
	case f.moment == "body", f.moment == "end", f.moment == "proxy":
		return context.DeadlineExceeded.Error() // of the request
	}
	return "ResponseHeaderTimeout"
}

// goroutines returns the stacks of all there are, with their labels.
func goroutines(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	require.NoError(t, pprof.Lookup("goroutine").WriteTo(&all, 1))
	return all.String()
}

// A partialError is one that came after the response's head.
type partialError struct{ error }

func (e *partialError) Unwrap() error { return e.error }

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

// tryFetch makes a request, with a body if there is one, and reads the response whole. The server's word that it may be repeated is given.
func tryFetch(ctx context.Context, rt http.RoundTripper, url string, bodies *uploads) (string, error) {
	method := http.MethodGet
	if bodies != nil {
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return "", err
	}
	if bodies != nil {
		req.Body, req.ContentLength = bodies.open(), int64(bodies.size)
		req.GetBody = func() (io.ReadCloser, error) { return bodies.open(), nil }
		req.Header.Set("Idempotency-Key", "1")
	}
	resp, err := rt.RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		return string(got), &partialError{err}
	}
	return string(got), nil
}

// uploads are the bodies of a request, one for each time that it was sent.
type uploads struct {
	size int

	mu  sync.Mutex // guards all
	all []*countedBody
}

func (u *uploads) open() io.ReadCloser {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.all = append(u.all, &countedBody{Reader: bytes.NewReader(make([]byte, u.size))})
	return u.all[len(u.all)-1]
}

// allClosed reports whether each was closed once.
func (u *uploads) allClosed() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return !slices.ContainsFunc(u.all, func(b *countedBody) bool { return b.closes.Load() != 1 })
}

// docs/reliability.md shows the rows, and so what the test has seen.
func TestReliabilityPage(t *testing.T) {
	const page, mark = "../docs/reliability.md", "<!-- the table is made by go test ./transport -run TestReliabilityPage -rewrite -->\n"
	was, err := os.ReadFile(page)
	require.NoError(t, err)
	text, _, found := strings.Cut(string(was), mark)
	require.True(t, found)
	var b strings.Builder
	fmt.Fprintf(&b, "%s%s\n| moment | what the server does |", text, mark)
	for _, mode := range faultModes {
		fmt.Fprintf(&b, " %s |", mode)
	}
	b.WriteString("\n|---|---|" + strings.Repeat("---|", len(faultModes)) + "\n")
	for _, f := range faults() {
		fmt.Fprintf(&b, "| %s | %s |", f.moment, f.name)
		for _, mode := range faultModes {
			switch {
			case !f.in(mode):
				b.WriteString(" |")
			case mode == "http2" && f.want2 != "":
				fmt.Fprintf(&b, " %s |", f.want2)
			default:
				fmt.Fprintf(&b, " %s |", f.want)
			}
		}
		b.WriteString("\n")
	}
	if *rewritePage {
		require.NoError(t, os.WriteFile(page, []byte(b.String()), 0o644))
	}
	assert.Equal(t, b.String(), string(was), "go test ./transport -run TestReliabilityPage -rewrite")
}
