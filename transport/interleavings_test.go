//go:build linux

package transport_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/transport"
)

var interleavings = flag.Int("interleavings", 10000, "rounds of TestHangupInterleavings, for http; a tenth of it for https")

// What a server does to a connection on which it has answered one request.
const (
	doNothing = iota
	doFIN
	doHalfClose
	doReset
	doBytesAndFIN
	doBytes
	serverDeeds
)

// When it does so.
const (
	withTheAnswer = iota // at once, perhaps before the client has read it
	inBetween            // when the client has read it
	longBefore           // in between, and the next request waits until we have let go of the connection
	besideRequest        // beside the next request
	betweenAcquireAndWrite
	afterRequest // when the next request is over
	deedTimes
)

// A hostRound is one host's life: a request is answered, the server does something, and another request follows, or none.
type hostRound struct {
	deed, time int
	method     string // of the second request; "" for none

	host   string
	dials  atomic.Int32
	served [2]atomic.Int32 // how often the server saw each request

	mu    sync.Mutex // guards the field below
	conns []net.Conn // the server's ends
}

func (r *hostRound) String() string {
	return fmt.Sprintf("deed %d, time %d, then %q", r.deed, r.time, r.method)
}

// hangs reports whether the connection is good for nothing after the deed.
func (r *hostRound) hangs() bool { return r.deed != doNothing }

// certain reports whether the deed is known to us before the second request is written, so that whatever it is, it succeeds.
func (r *hostRound) certain() bool {
	return !r.hangs() || r.time == inBetween || r.time == longBefore || r.time == afterRequest
}

// act does the deed to the first connection. Loopback delivers before a call returns.
func (r *hostRound) act() {
	r.mu.Lock()
	c := r.conns[0]
	r.mu.Unlock()
	tc := beneath(c)
	switch r.deed {
	case doFIN:
		_ = tc.Close()
	case doHalfClose:
		_ = tc.CloseWrite()
	case doReset:
		_ = tc.SetLinger(0)
		_ = tc.Close()
	case doBytesAndFIN:
		_, _ = io.WriteString(c, lateAnswer)
		_ = c.Close()
	case doBytes:
		_, _ = io.WriteString(c, lateAnswer)
	}
}

const lateAnswer = "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

func beneath(c net.Conn) *net.TCPConn {
	if tc, ok := c.(*tls.Conn); ok {
		c = tc.NetConn()
	}
	if cc, ok := c.(*corked); ok {
		c = cc.Conn
	}
	return c.(*net.TCPConn)
}

// A hostWorld is a transport, and servers that play rounds.
type hostWorld struct {
	*testing.T
	tr      *transport.Transport
	servers []*rawServer
	rounds  sync.Map // by host
	playing sync.WaitGroup
}

func newHostWorld(t *testing.T, https bool, workers int) *hostWorld {
	w := &hostWorld{T: t}
	for range workers {
		s := startRaw(t, https)
		w.servers = append(w.servers, s)
		go func() {
			for c := range s.conns {
				w.playing.Go(func() { w.serve(c) })
			}
		}()
	}
	w.tr = &transport.Transport{TLSClientConfig: w.servers[0].config, DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		host, _, _ := net.SplitHostPort(addr)
		r, _ := w.rounds.Load(host)
		r.(*hostRound).dials.Add(1)
		var worker, n int
		_, _ = fmt.Sscanf(host, "h%d-%d.example", &worker, &n)
		return new(net.Dialer).DialContext(ctx, network, w.servers[worker].Addr().String())
	}}
	if https { // each has a certificate of its own
		w.tr.TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
	}
	return w
}

// dialTLS has the caller dial TLS.
func (w *hostWorld) dialTLS() {
	w.tr.DialTLSContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := w.tr.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		tc := tls.Client(nc, w.tr.TLSClientConfig)
		return tc, tc.HandshakeContext(ctx)
	}
}

// serve answers the requests on one connection until either side ends it.
func (w *hostWorld) serve(c net.Conn) {
	defer c.Close()
	var mine *hostRound
	for b := bufio.NewReader(c); ; {
		req, err := http.ReadRequest(b)
		if err != nil {
			return
		}
		if _, err = io.Copy(io.Discard, req.Body); err != nil {
			return
		}
		found, _ := w.rounds.Load(req.Host)
		r := found.(*hostRound)
		second := req.URL.Path == "/second"
		if second {
			r.served[1].Add(1)
		} else {
			r.served[0].Add(1)
		}
		if mine == nil {
			mine = r
			r.mu.Lock()
			r.conns = append(r.conns, c)
			r.mu.Unlock()
		}
		_, _ = io.WriteString(c, okResponse)
		if !second && r.time == withTheAnswer {
			r.act()
		}
	}
}

// send sends one request of a round and returns its answer.
func (w *hostWorld) send(r *hostRound, method, path string, got func(httptrace.GotConnInfo)) (string, error) {
	scheme, body := "http://", io.Reader(nil)
	if w.tr.TLSClientConfig != nil {
		scheme = "https://"
	}
	if method == http.MethodPost {
		body = strings.NewReader("once")
	}
	ctx := httptrace.WithClientTrace(w.Context(), &httptrace.ClientTrace{GotConn: got})
	req, err := http.NewRequestWithContext(ctx, method, scheme+r.host+path, body)
	if err != nil {
		return "", err
	}
	resp, err := w.tr.RoundTrip(req)
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	return fmt.Sprint(resp.StatusCode, string(b)), err
}

// play lets a round happen and says what is wrong.
func (w *hostWorld) play(r *hostRound) error {
	w.rounds.Store(r.host, r)
	defer r.hangUp()
	if got, err := w.send(r, http.MethodGet, "/first", nil); err != nil || got != "200ok" {
		return fmt.Errorf("the first request: %q, %w", got, err)
	}
	if r.time == inBetween || r.time == longBefore {
		r.act()
	}
	if r.time == longBefore && r.hangs() && r.deed != doBytes && !w.gone(r) {
		return fmt.Errorf("the hang-up was missed")
	}
	if r.method == "" {
		return nil
	}
	return w.second(r)
}

func (w *hostWorld) second(r *hostRound) error {
	var beside sync.WaitGroup
	if r.time == besideRequest {
		beside.Go(r.act)
	}
	acted := false
	got, err := w.send(r, r.method, "/second", func(httptrace.GotConnInfo) {
		if r.time == betweenAcquireAndWrite && !acted {
			acted = true
			r.act()
		}
	})
	beside.Wait()
	if r.time == afterRequest {
		r.act()
	}
	seen, dials := r.served[1].Load(), r.dials.Load()
	bogus := r.deed == doBytes || r.deed == doBytesAndFIN // nobody can tell these from an answer where they come beside the request
	switch {
	case (r.certain() || r.method == http.MethodGet && !bogus) && (err != nil || got != "200ok"):
		return fmt.Errorf("the second request: %q, %w", got, err)
	case r.method == http.MethodPost && seen > 1, r.certain() && seen != 1:
		return fmt.Errorf("the second request was sent %d times", seen)
	case (!r.hangs() || r.time == afterRequest) && dials != 1:
		return fmt.Errorf("%d dials: something that was no hang-up was taken for one", dials)
	case r.hangs() && (r.time == inBetween || r.time == longBefore) && dials != 2:
		return fmt.Errorf("%d dials: the connection was used after its end", dials)
	}
	return nil
}

// gone waits until we have no connection to the round's host.
func (w *hostWorld) gone(r *hostRound) bool {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(tick) {
		if o := w.tr.Stats().Origins; o["http://"+r.host].Open+o["https://"+r.host].Open == 0 {
			return true
		}
	}
	return false
}

// hangUp ends what is left of the round's connections, which is the last hang-up to be noticed.
func (r *hostRound) hangUp() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.conns {
		_ = c.Close()
	}
}

// Whatever servers do to connections, and whenever: a hang-up is never missed and never imagined, no request that a server has not
// seen is lost, none is sent twice that must not be, and in the end the kernel knows no socket of ours.
func TestHangupInterleavings(t *testing.T) {
	const workers = 8
	for _, mode := range []string{"http", "https", "https of the caller's"} {
		t.Run(mode, func(t *testing.T) {
			https := mode != "http"
			w := newHostWorld(t, https, workers)
			if mode == "https of the caller's" {
				w.dialTLS()
			}
			rounds := *interleavings
			if https || testing.Short() {
				rounds /= 10
			}
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			var wg sync.WaitGroup
			for n := range workers {
				wg.Go(func() {
					rnd := rand.New(rand.NewPCG(seed, uint64(n)))
					for i := range rounds / workers {
						r := &hostRound{
							deed: rnd.IntN(serverDeeds), time: rnd.IntN(deedTimes), method: []string{"", "GET", "POST"}[rnd.IntN(3)],
							host: fmt.Sprintf("h%d-%d.example", n, i),
						}
						if !assert.NoError(t, w.play(r), r) {
							return
						}
					}
				})
			}
			wg.Wait()
			for _, s := range w.servers {
				require.Eventually(t, func() bool { return len(socketsTo(t, s.url())) == 0 }, patience, tick, "no socket")
			}
			require.Eventually(t, func() bool { return w.tr.Stats().Open == 0 }, patience, tick)
			require.NoError(t, w.tr.Close())
			w.playing.Wait()
		})
	}
}
