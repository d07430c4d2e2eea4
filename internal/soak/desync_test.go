//go:build linux

package soak_test

import (
	"cmp"
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/reaper"
	"github.com/watertight-go/watertight/transport"
)

var (
	desyncExchanges = flag.Int("desync.exchanges", 10000, "how many TestDesync makes, a tenth of it with -short")
	desyncSeed      = flag.Uint64("desync.seed", 0, "of TestDesync; 0: the time")
)

// What an injector does when it has answered a request. All that it sends besides has the field Evil.
const (
	nothing  = "nothing"
	together = "another response in the same piece"
	informs  = "an informational response in the same piece"
	waited   = "another response, in the client's kernel before the next request"
	partial  = "half a response, in the client's kernel before the next request"
	racing   = "another response, at any moment"
	closest  = racing + ", look and write in one"
	unbidden = "the next response, when a part of its request has come"
	speaks   = "the end, and the next connection begins with a response"
	shifted  = "the response to the request that took another's"
	tooEarly = "a response that came before its request was written"
)

// A desync is one run of TestDesync.
type desync struct {
	t     *testing.T
	trust *tls.Config
	urls  [2]string // of the injector, without and with TLS

	speakers atomic.Int64 // connections that are to begin with a response

	mu      sync.Mutex               // guards the fields below
	ends    map[[2]string]*desyncEnd // connections, by the client's address and the server's: the former alone may be that of two
	counts  map[string]int           // what came of it
	windows []time.Duration          // from a probe to the end of the request's write
}

// bufferSize is small: a head of largeHead bytes is not written before the server has read some of it.
const (
	bufferSize = 64 << 10
	largeHead  = 1 << 20
)

// A desyncEnd is the client's end of a connection, and what the server knows of it.
type desyncEnd struct {
	conn *net.TCPConn
	turn atomic.Int64 // odd while there is no request on it
	seen atomic.Int64 // the last turn in which bytes were there that nobody had asked for
	sent atomic.Int64 // turns of the server's in which it sent such bytes

	expected int64 // of these, known to the client
	shifted  bool  // a response was taken for another request's: from then on they may all be
}

// Servers inject responses around their own, at every moment. No byte that was in our kernel when a request was made is ever taken for
// its response; what comes in the moment between the probe and the write may be, and no client can tell. How long that moment is, and
// how often somebody hits it who tries, is told.
func TestDesync(t *testing.T) {
	seed, exchanges := *desyncSeed, *desyncExchanges
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	if testing.Short() {
		exchanges /= 10
	}
	t.Logf("-desync.seed=%d", seed)
	d := &desync{t: t, ends: map[[2]string]*desyncEnd{}, counts: map[string]int{}}
	config, trust := certified(t)
	d.trust = trust
	plain, secure := listen(t, func(c *net.TCPConn) { d.inject(c, nil) }), listen(t, func(c *net.TCPConn) { d.inject(c, config) })
	defer plain.close()
	defer secure.close()
	d.urls = [2]string{fmt.Sprintf("http://127.0.0.1:%d/", plain.port()), fmt.Sprintf("https://127.0.0.1:%d/", secure.port())}
	const workers = 8
	var wg sync.WaitGroup
	for w := range uint64(workers) {
		wg.Go(func() { d.work(rand.New(rand.NewPCG(seed, w)), w, exchanges/workers) })
	}
	wg.Wait()
	d.report()
}

func (d *desync) report() {
	for _, what := range slices.Sorted(maps.Keys(d.counts)) {
		d.t.Logf("%8d %s", d.counts[what], what)
	}
	slices.Sort(d.windows)
	if n := len(d.windows); n > 0 {
		d.t.Logf("from the probe to the end of the write: median %v, 99%% %v, most %v", d.windows[n/2], d.windows[n*99/100], d.windows[n-1])
	}
}

func (d *desync) count(after, what string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.counts[cmp.Or(after, "a new connection")+": "+what]++
}

// dial keeps the client's ends, so that the server can see what has arrived there.
func (d *desync) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	nc, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	_ = nc.(*net.TCPConn).SetWriteBuffer(bufferSize)
	d.mu.Lock()
	d.ends[[2]string{nc.LocalAddr().String(), nc.RemoteAddr().String()}] = &desyncEnd{conn: nc.(*net.TCPConn)}
	d.mu.Unlock()
	return nc, nil
}

// endAt returns the end of the connection that has, or had last, these addresses.
func (d *desync) endAt(client, server net.Addr) *desyncEnd {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ends[[2]string{client.String(), server.String()}]
}

func (d *desync) lasted(window time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.windows = append(d.windows, window)
}

// work makes requests, one after the other, on a Transport of its own: so each finds the connection of the one before.
func (d *desync) work(r *rand.Rand, worker uint64, exchanges int) {
	c := &desyncClient{desync: d, r: r}
	tr := &transport.Transport{TLSClientConfig: d.trust.Clone(), DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := d.dial(ctx, network, addr)
		if err == nil {
			c.dialed.Store(d.endAt(nc.LocalAddr(), nc.RemoteAddr()))
		}
		return nc, err
	}}
	defer func() { assert.NoError(d.t, tr.Close()) }()
	c.tr = tr
	for i := range exchanges {
		if d.t.Failed() {
			return
		}
		c.exchange(worker<<32 + uint64(i))
	}
	st := tr.Stats()
	d.mu.Lock()
	d.counts["connections closed for "+string(transport.ReasonUnsolicited)] += int(st.Closes[transport.ReasonUnsolicited])
	d.mu.Unlock()
}

// A desyncClient is one worker's.
type desyncClient struct {
	*desync
	r  *rand.Rand
	tr *transport.Transport

	dialed atomic.Pointer[desyncEnd] // since the request began; nil: it had the connection of the one before

	secure int        // 1: the requests are https
	last   string     // what the server does after the response that came last
	on     *desyncEnd // the connection of that
	strays bool       // there may be idle connections besides: only a trace tells which one a request had
}

// exchange makes one request, and looks whose response it gets.
func (c *desyncClient) exchange(id uint64) {
	if c.on == nil {
		c.secure = weighted(c.r, 4, 1) // handshakes take most of the time
	}
	if c.strays && c.r.IntN(4) == 0 {
		c.tr.CloseIdleConnections()
		c.last, c.on, c.strays = "", nil, false
	}
	c.pause()
	after := []string{nothing, together, informs, waited, partial, racing, unbidden, speaks}[weighted(c.r, 20, 10, 6, 20, 10, 130, 2, 2)]
	req, err := http.NewRequest(http.MethodGet, c.urls[c.secure], nil)
	require.NoError(c.t, err)
	req.Header.Set("Id", strconv.FormatUint(id, 10))
	req.Header.Set("After", after)
	req.Header.Set("Delay", strconv.Itoa(c.r.IntN(150)))
	was, before := c.last, c.on
	if was == unbidden {
		req.Header.Set("Large", strings.Repeat("x", largeHead))
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	// With a trace the look is before the write; without one, and without TLS, it is part of that.
	var probed, wrote time.Time
	var reused bool
	var on *desyncEnd
	traced := before == nil || c.strays || c.r.IntN(2) == 0
	if traced {
		ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
			GotConn: func(info httptrace.GotConnInfo) {
				probed, reused, on = time.Now(), info.Reused, c.endAt(info.Conn.LocalAddr(), info.Conn.RemoteAddr())
			},
			WroteHeaders: func() { wrote = time.Now() },
		})
	} else if was == racing && c.secure == 0 {
		was = closest
	}
	req = req.WithContext(ctx)
	c.dialed.Store(nil)
	if before != nil {
		before.turn.Add(1)
	}
	resp, err := c.tr.RoundTrip(req)
	c.last, c.on = "", nil
	if !traced {
		on = c.dialed.Load()
		if reused = on == nil; reused {
			on = before
		}
	}
	if err == nil {
		_, err = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}
	if err != nil {
		c.count(was, "an error")
		assert.True(c.t, !reused || was == racing || was == closest || on.shifted, "%s: %v", was, err)
		return
	}
	if reused && was != unbidden && !wrote.IsZero() {
		c.lasted(wrote.Sub(probed))
	}
	if was == tooEarly {
		assert.False(c.t, reused && on == before, "the connection was used again")
	}
	switch got := resp.Header.Get("Id"); {
	case resp.Header.Get(evilField) != "":
		c.took(was, before, on, reused)
	case got != strconv.FormatUint(id, 10):
		c.count(was, "the response to the request before")
		assert.True(c.t, on.shifted, "%s: %s, not %d", was, got, id)
		c.last, c.on = shifted, on
		on.turn.Add(1)
	default:
		c.count(was, "the request's own response")
		c.last, c.on = after, on
		on.turn.Add(1)
	}
}

// took judges a response that nobody asked for and that was taken for one.
func (c *desyncClient) took(was string, before, on *desyncEnd, reused bool) {
	if !reused { // a server that speaks first, after the look for that
		c.count("a new connection", "what it began with was taken for the response")
		on.shifted, c.strays = true, true
		return
	}
	c.count(was, "it was taken for the response")
	switch {
	case was == unbidden:
		c.last, c.on = tooEarly, on
		on.turn.Add(1)
	case was == racing, was == closest:
		assert.Equal(c.t, before, on)
		assert.NotEqual(c.t, on.turn.Load()-1, on.seen.Load(), "it was there before the request")
		c.last, c.on, on.shifted = shifted, on, true
		on.turn.Add(1)
	default:
		assert.True(c.t, on.shifted, "%s: taken for the response", was)
	}
}

// pause lets the server do what it is about to, or a part of it.
func (c *desyncClient) pause() {
	switch c.last {
	case waited, partial:
		// What was written to a loopback connection has arrived. TLS may have read it ahead.
		c.on.expected++
		arrived := func() bool {
			return c.on.sent.Load() >= c.on.expected && (c.secure == 1 || reaper.Probe(c.on.conn) != nil)
		}
		for end := time.Now().Add(patience); !arrived(); time.Sleep(20 * time.Microsecond) {
			if time.Now().After(end) {
				c.t.Errorf("%s: %d of %d came, and %v", c.last, c.on.sent.Load(), c.on.expected, reaper.Probe(c.on.conn))
				return
			}
		}
	case racing, shifted:
		spin(time.Duration(c.r.IntN(150)) * time.Microsecond)
	}
}

// spin waits more exactly than a timer.
func spin(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
	}
}
