//go:build linux

package soak_test

import (
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/transport"
)

var (
	soakFor  = flag.Duration("soak.for", 5*time.Second, "how long TestSoak runs")
	soakSeed = flag.Uint64("soak.seed", 0, "of TestSoak; 0: the time")
)

// A soak is one run of TestSoak.
type soak struct {
	t       *testing.T
	r       *rand.Rand // of the rounds
	book    *book
	origins []*origin
	ports   map[uint16]bool // that callers dial
	trust   *tls.Config     // for callers
	proxies map[string]*url.URL
	closers []func()

	tr            *transport.Transport
	droppedBefore int64 // tr was made
	total         transport.Counts
	uploads       uploadList

	calls, failures, complete, received, dropped, window atomic.Int64

	mu      sync.Mutex // guards the fields below
	faults  []string
	cancels []context.CancelFunc // of requests whose bodies were forgotten
}

// For as long as it is told to, up to 512 callers at once use a Transport in every way there is, over http, https, HTTP/2 and through
// tunnels, with servers and proxies that fail in most ways. Every response is the request's own, whole or an error; every request
// body is closed once; what the Transport counts is what the kernel has; and in the end nothing is left.
func TestSoak(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes its time")
	}
	seed := *soakSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-soak.seed=%d", seed)
	s := &soak{t: t, r: rand.New(rand.NewPCG(seed, 0)), book: &book{once: map[uint64]int{}}}
	begin, err := measure()
	require.NoError(t, err)
	s.startServers()
	levels := s.run(seed)
	s.renew(nil)
	for _, stop := range s.closers {
		stop()
	}
	s.flat(levels)
	s.backTo(begin)
	t.Log(s.summary())
}

// run runs rounds until the time is over, and returns what there was after each.
func (s *soak) run(seed uint64) (levels []level) {
	end := time.Now().Add(*soakFor)
	each := min(max(*soakFor/12, time.Second), 15*time.Second)
	id := uint64(1)
	for round := 0; time.Now().Before(end) && !s.t.Failed(); round++ {
		if s.tr == nil || s.r.IntN(3) == 0 {
			s.renew(s.randomTransport())
		}
		workers := 16 << s.r.IntN(6)
		began := s.calls.Load()
		s.round(seed, id, workers, min(each, time.Until(end)))
		id += 1 << 40
		s.quiet()
		s.endForgotten()
		l, err := measure()
		require.NoError(s.t, err)
		levels = append(levels, l)
		s.t.Logf("round %d: %d workers, %d requests; %d connections; %v", round, workers, s.calls.Load()-began, s.tr.Stats().Open, l)
	}
	return levels
}

func (s *soak) round(seed, id uint64, workers int, d time.Duration) {
	end := time.Now().Add(d)
	var wg sync.WaitGroup
	for w := range uint64(workers) {
		c := &caller{soak: s, r: rand.New(rand.NewPCG(seed+id, w))}
		wg.Go(func() {
			for i := range uint64(1 << 24) {
				if time.Now().After(end) || s.t.Failed() {
					return
				}
				c.call(id + w<<24 + i)
			}
		})
	}
	wg.Wait()
}

// later keeps what ends a request until the round is over.
func (s *soak) later(cancel context.CancelFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cancels = append(s.cancels, cancel)
}

// endForgotten ends the requests whose bodies were forgotten, and found since: their contexts and timers are not to be taken for a leak.
func (s *soak) endForgotten() {
	s.mu.Lock()
	cancels := s.cancels
	s.cancels = nil
	s.mu.Unlock()
	for _, cancel := range cancels {
		cancel()
	}
}

// renew closes the Transport, of which nothing may be left, and goes on with another one; nil: with none.
func (s *soak) renew(next *transport.Transport) {
	if s.tr != nil {
		_ = s.tr.Close()
		s.eventually("a Transport that was closed", func() string {
			held, err := s.sockets()
			if st := s.tr.Stats(); err != nil || len(held)+st.Open+st.Leased+st.Bodies > 0 {
				return fmt.Sprint(len(held), " sockets, ", st.Counts, err)
			}
			return ""
		})
		s.add(s.tr.Stats().Counts)
	}
	s.tr, s.droppedBefore = next, s.dropped.Load()
}

// add adds up what the Transports counted.
func (s *soak) add(c transport.Counts) {
	t := &s.total
	t.Requests += c.Requests
	t.Reuses += c.Reuses
	t.Retries += c.Retries
	t.Dials += c.Dials
	t.DialErrors += c.DialErrors
	t.Absorbed += c.Absorbed
	t.Drained += c.Drained
	t.Salvaged += c.Salvaged
	if t.Closes == nil {
		t.Closes, t.Leaks = c.Closes, c.Leaks
		return
	}
	for why, n := range c.Closes {
		t.Closes[why] += n
	}
	for cause, n := range c.Leaks {
		if t.Leaks == nil {
			t.Leaks = map[transport.LeakCause]int64{}
		}
		t.Leaks[cause] += n
	}
}

// randomTransport returns one with settings of all kinds.
func (s *soak) randomTransport() *transport.Transport {
	r := s.r
	pick := func(of ...time.Duration) time.Duration { return of[r.IntN(len(of))] }
	ms := time.Millisecond
	tr := &transport.Transport{
		TLSClientConfig:        s.trust.Clone(),
		ForceAttemptHTTP2:      true,
		MaxConnsPerHost:        []int{0, 0, 4, 64}[r.IntN(4)],
		MaxIdleConnsPerHost:    []int{0, 0, 2, 50}[r.IntN(4)],
		MaxIdleConns:           []int{0, 0, 20}[r.IntN(3)],
		IdleConnTimeout:        pick(0, 90*time.Second, 20*ms),
		MaxConnLifetime:        pick(0, 0, 100*ms),
		ExpectContinueTimeout:  pick(0, 20*ms),
		SalvageTimeout:         pick(0, 0, 20*ms),
		DrainTimeout:           pick(0, 5*ms),
		MaxDrainBytes:          []int64{0, -1, 1000}[r.IntN(3)],
		MaxAbsorbBytes:         []int64{0, -1, 1000}[r.IntN(3)],
		AcquireTimeout:         pick(0, 10*time.Second, 50*ms),
		LeakTimeout:            pick(0, 0, 200*ms),
		MaxResponseHeaderBytes: 256 << 10,
		RecordStacks:           r.IntN(4) == 0,
		Logger:                 slog.New(slog.NewTextHandler(io.Discard, nil)),
		HTTP2:                  &http.HTTP2Config{StrictMaxConcurrentRequests: r.IntN(3) == 0},
		Proxy:                  func(req *http.Request) (*url.URL, error) { return s.proxies[req.URL.Host], nil },
	}
	s.t.Logf("MaxConnsPerHost %d, MaxIdleConnsPerHost %d, MaxIdleConns %d, IdleConnTimeout %v, MaxConnLifetime %v, SalvageTimeout %v, MaxDrainBytes %d, MaxAbsorbBytes %d, AcquireTimeout %v, LeakTimeout %v, strict %v",
		tr.MaxConnsPerHost, tr.MaxIdleConnsPerHost, tr.MaxIdleConns, tr.IdleConnTimeout, tr.MaxConnLifetime, tr.SalvageTimeout,
		tr.MaxDrainBytes, tr.MaxAbsorbBytes, tr.AcquireTimeout, tr.LeakTimeout, tr.HTTP2.StrictMaxConcurrentRequests)
	return tr
}

// startServers starts two of each kind, a steady one and one that is not.
func (s *soak) startServers() {
	config, trust := certified(s.t)
	s.trust, s.ports, s.proxies = trust, map[uint16]bool{}, map[string]*url.URL{}
	s.trust.ClientSessionCache = tls.NewLRUClientSessionCache(0)
	add := func(o *origin, stop func()) {
		s.origins, s.closers = append(s.origins, o), append(s.closers, stop)
	}
	for _, steady := range []bool{true, false} {
		temper := map[bool]string{true: " steady", false: " rough"}[steady]
		o, l := startOrigin(s.t, "http"+temper, nil, steady, s.book)
		add(o, l.close)
		s.ports[o.port] = true
		o, l = startOrigin(s.t, "https"+temper, config, steady, s.book)
		add(o, l.close)
		s.ports[o.port] = true
		two := startOrigin2(s.t, "http2"+temper, config, steady, s.book)
		add(two.origin, two.close)
		s.ports[two.port] = true
		// What is asked through a tunnel is another origin, so that the proxy's sockets are not taken for the callers'.
		o, l = startOrigin(s.t, "tunnel"+temper, config, steady, s.book)
		add(o, l.close)
		proxy := startProxy(s.t, steady)
		s.closers = append(s.closers, proxy.close)
		s.ports[proxy.port()] = true
		s.proxies[fmt.Sprintf("127.0.0.1:%d", o.port)] = &url.URL{Scheme: "http", Host: proxy.l.Addr().String()}
	}
}

// An uploadList is the request bodies that are not yet known to have been closed.
type uploadList struct {
	mu  sync.Mutex // guards all
	all []*upload
}

func (l *uploadList) add(u *upload) {
	if u.closed.Load() == 1 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, u)
}

// settle wants each to have been closed once.
func (l *uploadList) settle(s *soak) {
	s.t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, u := range l.all {
		s.eventually("a request's body", func() string {
			if n := u.closed.Load(); n != 1 {
				return fmt.Sprintf("it was closed %d times: %d", n, ^u.id)
			}
			return ""
		})
	}
	l.all = l.all[:0]
}
