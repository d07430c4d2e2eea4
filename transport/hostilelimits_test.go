//go:build linux

package transport_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"

	"github.com/watertight-go/watertight/internal/badserver"
	"github.com/watertight-go/watertight/internal/http1"
	"github.com/watertight-go/watertight/transport"
)

// A holding is what a hostile server makes one connection hold at most, as docs/tuning.md has it. The server does its worst until nobody
// takes any more of it.
type holding struct {
	name       string
	set        func(*transport.Transport)
	serve      func(sent *atomic.Int64) badserver.Script
	http2      bool
	method     string // "": GET. Of another, the body has no end
	ends       bool   // RoundTrip, or the reading of the body, ends with an error
	read       int64  // bytes of the body that are read; -1: to its end
	closes     bool   // and then it is closed
	heap       int64  // bytes
	goroutines int    // besides the reaper's
	sockets    int    // while it lasts
	lasts      bool   // until UnackedTimeout ends it, and others may end beside it
}

const (
	kib = 1 << 10
	mib = 1 << 20
)

// pours writes first, and then a piece over and over until nobody takes any more, and counts.
func pours(sent *atomic.Int64, first, piece string, pieces int) badserver.Script {
	count := func(s string) badserver.Script {
		return badserver.Script{writes(s), badserver.Call(func() { sent.Add(int64(len(s))) })}
	}
	return badserver.Script{badserver.ReadHead{}, count(first), badserver.Repeat{Times: pieces, Script: count(piece)}, badserver.Stall{}}
}

// tinyFields are fields of different names, as short as they come.
func tinyFields(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%x:\r\n", i)
	}
	return b.String()
}

// frames2 writes frames over and over, once there is a request.
func frames2(sent *atomic.Int64, first func(f *badserver.Frames, s uint32) error, again func(f *badserver.Frames, s uint32) error) badserver.Script {
	return badserver.Script{badserver.HTTP2{Speak: func(f *badserver.Frames) error {
		stream, err := f.AwaitRequest()
		if err == nil && first != nil {
			err = first(f, stream)
		}
		for err == nil {
			err = again(f, stream)
			sent.Add(1)
		}
		if err == io.EOF {
			return nil
		}
		return err
	}}, badserver.Stall{}}
}

// smallBuffers dials connections whose buffers in the kernel are soon full.
func smallBuffers(ctx context.Context, network, addr string) (net.Conn, error) {
	nc, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	c := nc.(*net.TCPConn)
	return c, errors.Join(c.SetReadBuffer(16*kib), c.SetWriteBuffer(16*kib))
}

func holdings() []holding {
	const chunked, endless = okLine + "Transfer-Encoding: chunked\r\n\r\n", okLine + "Content-Length: 9999999999\r\n\r\n"
	large, forever := strings.Repeat("x", 64*kib), 0
	head := func(tr *transport.Transport) { tr.MaxResponseHeaderBytes = mib }
	unacked := func(tr *transport.Transport) {
		tr.UnackedTimeout = 5 * time.Second // or they go on for 5 minutes
		tr.DialContext = smallBuffers       // full long before
	}
	window := func(tr *transport.Transport) {
		tr.HTTP2 = &http.HTTP2Config{MaxReceiveBufferPerStream: mib, MaxReceiveBufferPerConnection: 2 * mib}
	}
	script := func(first, piece string, pieces int) func(*atomic.Int64) badserver.Script {
		return func(sent *atomic.Int64) badserver.Script { return pours(sent, first, piece, pieces) }
	}
	answers := func(again func(f *badserver.Frames, s uint32) error) func(*atomic.Int64) badserver.Script {
		return func(sent *atomic.Int64) badserver.Script {
			return frames2(sent, func(f *badserver.Frames, s uint32) error { return f.Head(s, false, ":status", "200") }, again)
		}
	}
	var bomb bytes.Buffer
	zw := gzip.NewWriter(&bomb)
	for range 1024 {
		_, _ = zw.Write(make([]byte, 64*kib))
	}
	_ = zw.Close()
	return []holding{
		{name: "a head that stalls below its limit", set: head, serve: script(okLine, strings.Repeat("A: b\r\n", 1000), 170), heap: 2 * mib, sockets: 1},
		{name: "a head beyond its limit", set: head, serve: script(okLine, strings.Repeat("A: b\r\n", 1000), forever), ends: true},
		{name: "a head of as many fields as it may have", serve: script(okLine+tinyFields(http1.MaxFields-1)+"Content-Length: 9999999999\r\n\r\n", "x", 1),
			read: 1, heap: mib, sockets: 1},
		{name: "a head of more fields", serve: script(okLine+tinyFields(http1.MaxFields+1)+"\r\n", "x", 1), ends: true},
		{name: "1xx that stall below the limit", set: head, serve: script("", strings.Repeat("HTTP/1.1 103 X\r\nA: b\r\n\r\n", 100), 400), heap: 32 * kib, sockets: 1},
		{name: "1xx beyond the limit", set: head, serve: script("", strings.Repeat("HTTP/1.1 103 X\r\nA: b\r\n\r\n", 100), forever), ends: true},
		{name: "chunk extensions", serve: script(chunked, "1;"+strings.Repeat("a", 400)+"\r\nx\r\n", forever), read: -1, ends: true},
		{name: "a chunk extension that stalls", serve: script(chunked+"1;", strings.Repeat("a", 4000), 1), read: 1, heap: 32 * kib, goroutines: 1, sockets: 1},
		{name: "a trailer section that stalls", serve: script(chunked+"0\r\n", strings.Repeat("A: b\r\n", 1000), 1), read: 1, heap: 32 * kib, goroutines: 1, sockets: 1},
		{name: "a trailer section without end", serve: script(chunked+"0\r\n", strings.Repeat("A: b\r\n", 1000), forever), read: -1, ends: true},
		{name: "a body that nobody reads", serve: script(endless, large, forever), heap: 32 * kib, sockets: 1},
		{name: "a chunked body that nobody reads on", serve: script(chunked, "1\r\nx\r\n", 100000), read: 10, heap: 32 * kib, sockets: 1},
		{name: "an end behind a body that nobody reads", serve: func(sent *atomic.Int64) badserver.Script {
			return append(pours(sent, okLine+fmt.Sprintf("Content-Length: %d\r\n\r\n", 64*kib), large, 1)[:3], badserver.FIN{}, badserver.Stall{})
		}, heap: 128 * kib},
		{name: "a body that is closed", serve: script(chunked, "10000\r\n"+large+"\r\n", forever), closes: true},
		{name: "a body of 64 MiB in 64 KiB of gzip", serve: script(okLine+fmt.Sprintf("Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n", bomb.Len()), bomb.String(), 1),
			read: 1000, heap: 192 * kib, sockets: 1},
		{name: "an answer before the request is sent", method: http.MethodPost, serve: script(endless, large, forever), heap: 96 * kib, goroutines: 1, sockets: 1},
		{name: "HTTP/2: a body that nobody reads", http2: true, set: window, serve: answers(func(f *badserver.Frames, s uint32) error {
			return f.WriteData(s, false, make([]byte, 16*kib)) // whether or not there is room in the window
		}), read: 1, heap: mib},
		{name: "HTTP/2: a head without end", http2: true, set: head, serve: func(sent *atomic.Int64) badserver.Script {
			return frames2(sent, func(f *badserver.Frames, s uint32) error {
				return f.WriteHeaders(http2.HeadersFrameParam{StreamID: s, BlockFragment: f.Block(":status", "200")})
			}, func(f *badserver.Frames, s uint32) error {
				return f.WriteContinuation(s, false, f.Block("a", strings.Repeat("b", 8*kib)))
			})
		}, ends: true},
		{name: "HTTP/2: a head of more fields than one may have", http2: true, serve: func(sent *atomic.Int64) badserver.Script {
			return frames2(sent, func(f *badserver.Frames, s uint32) error {
				block := f.Block(append([]string{":status", "200"}, strings.Split(strings.Repeat("a\xffb\xff", http1.MaxFields)+"a\xffb", "\xff")...)...)
				return f.WriteHeaders(http2.HeadersFrameParam{StreamID: s, BlockFragment: block, EndHeaders: true})
			}, func(f *badserver.Frames, _ uint32) error { return errors.Join(f.Swallow(), io.EOF) })
		}, ends: true, goroutines: 2, sockets: 1},
		{name: "HTTP/2: informational responses without end", http2: true, set: head, serve: func(sent *atomic.Int64) badserver.Script {
			return frames2(sent, nil, func(f *badserver.Frames, s uint32) error {
				if sent.Load() == 1000 { // the connection is as good as before, and takes them for ever
					return io.EOF
				}
				return f.Head(s, false, ":status", "103", "a", strings.Repeat("b", 8*kib))
			})
		}, ends: true, goroutines: 2, sockets: 1},
		{name: "HTTP/2: pings, and nobody reads the answers", http2: true, set: unacked, serve: answers(func(f *badserver.Frames, _ uint32) error {
			return f.WritePing(false, [8]byte{1})
		}), heap: 256 * kib, goroutines: 3, sockets: 1, lasts: true},
		{name: "HTTP/2: settings, and nobody reads the answers", http2: true, set: unacked, serve: answers(func(f *badserver.Frames, _ uint32) error {
			return f.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 100})
		}), heap: 256 * kib, goroutines: 3, sockets: 1, lasts: true},
	}
}

// TestHostileServersHoldLittle has a server do its worst with one connection. What that makes us hold, in memory, goroutines and sockets,
// is no more than docs/tuning.md says, and nothing once the request has ended.
func TestHostileServersHoldLittle(t *testing.T) {
	for _, h := range holdings() {
		t.Run(h.name, func(t *testing.T) { h.suffer(t) })
	}
}

func (h holding) suffer(t *testing.T) {
	var sent atomic.Int64
	server := badserver.Start(t, h.serve(&sent))
	tr := &transport.Transport{DrainTimeout: time.Minute}
	if h.http2 {
		tr.Protocols = new(http.Protocols)
		tr.Protocols.SetUnencryptedHTTP2(true)
	}
	if h.set != nil {
		h.set(tr)
	}
	var upload io.ReadCloser
	if h.method != "" {
		upload, _ = io.Pipe()
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
	require.NoError(t, err)
	if upload != nil {
		req.Method, req.Body, req.ContentLength = h.method, upload, 100
	}
	before, was := heapHeld(), ownGoroutines()
	ended := make(chan error, 1)
	var kept atomic.Pointer[http.Response]
	go func() {
		resp, err := tr.RoundTrip(req)
		if err == nil {
			kept.Store(resp)
			err = h.consume(resp)
		}
		ended <- err
	}()
	if h.ends {
		require.Error(t, <-ended)
	} else {
		awaitStill(t, &sent)
	}
	require.Eventually(t, func() bool { return len(socketsTo(t, server.URL)) == h.sockets }, patience, tick, "sockets: %v", socketsTo(t, server.URL))
	// A goroutine that is just ending may hold a buffer, or be counted.
	var held int64
	within := assert.Eventually(t, func() bool { held = heapHeld() - before; return held <= h.heap+slack }, patience, tick)
	assert.True(t, within, "%d KiB are held, and %d should be", held/kib, h.heap/kib)
	assert.Eventually(t, func() bool { return ownGoroutines()-was <= h.goroutines+1 }, patience, tick, "goroutines: %d", ownGoroutines()-was)
	t.Logf("%d KiB held, %d goroutines, the server got rid of %d", held/kib, ownGoroutines()-was, sent.Load())
	if h.lasts {
		t.Parallel() // behind what the others hold, which is counted
	}
	if !h.ends {
		cancel() // a RoundTrip, or a Read, that waits
		<-ended
		if resp := kept.Load(); resp != nil {
			assert.NoError(t, resp.Body.Close())
		}
	}
	if upload != nil {
		assert.NoError(t, upload.Close())
	}
	require.NoError(t, tr.Close())
	require.Eventually(t, func() bool { return len(socketsTo(t, server.URL)) == 0 }, patience, tick, "sockets at the end")
	require.Eventually(t, func() bool { return ownGoroutines() <= was }, patience, tick, "goroutines at the end")
}

// consume reads what the row says of a body.
func (h holding) consume(resp *http.Response) (err error) {
	if h.read < 0 {
		_, err = io.Copy(io.Discard, resp.Body)
		return err
	}
	if _, err = io.CopyN(io.Discard, resp.Body, h.read); err == nil && h.closes {
		err = resp.Body.Close()
	}
	return err
}

// slack is what the server's end, and the test, may need beside it.
const slack = 256 * kib

func heapHeld() int64 {
	runtime.GC()
	runtime.GC() // what the first one left in a sync.Pool
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// ownGoroutines counts the goroutines that a transport, or the codec of HTTP/2 for it, has started.
func ownGoroutines() (n int) {
	b := make([]byte, mib)
	b = b[:runtime.Stack(b, true)]
	for _, own := range []string{"watertight/transport.", "watertight/internal/http1.", "watertight/pool.", "watertight/reaper.", "golang.org/x/net/http2.("} {
		n += bytes.Count(b, []byte("created by github.com/watertight-go/"+own)) + bytes.Count(b, []byte("created by "+own))
	}
	return n
}

// awaitStill waits until the server has got rid of all that anybody takes.
func awaitStill(t *testing.T, sent *atomic.Int64) {
	t.Helper()
	last, same := int64(0), 0
	require.Eventually(t, func() bool {
		if n := sent.Load(); n != last || n == 0 {
			last, same = n, 0
		}
		same++
		return same > 50
	}, patience, tick, "the server still gets rid of more")
}

// What docs/tuning.md says of HTTP/2 without settings of the caller's is what the server is told: how much it may send of a body that nobody
// reads, and how large a head may be.
func TestHTTP2WindowsByDefault(t *testing.T) {
	told := make(chan [3]uint32, 1)
	server := badserver.Start(t, badserver.Script{badserver.HTTP2{Speak: func(f *badserver.Frames) error {
		var windows [3]uint32
		for {
			got, err := f.ReadFrame()
			switch got := got.(type) {
			case *http2.SettingsFrame:
				if v, ok := got.Value(http2.SettingInitialWindowSize); ok {
					windows[0] = v
				}
				if v, ok := got.Value(http2.SettingMaxHeaderListSize); ok {
					windows[2] = v
				}
			case *http2.WindowUpdateFrame:
				windows[1] = got.Increment
			case *http2.MetaHeadersFrame:
				told <- windows
				return f.Head(got.StreamID, true, ":status", "204")
			}
			if err != nil {
				return err
			}
		}
	}}, badserver.Stall{}})
	tr := &transport.Transport{Protocols: new(http.Protocols)}
	tr.Protocols.SetUnencryptedHTTP2(true)
	defer func() { assert.NoError(t, tr.Close()) }()
	_, _, err := do(t, tr, http.MethodGet, server.URL, "", nil)
	require.NoError(t, err)
	assert.Equal(t, [3]uint32{4 * mib, 1 << 30, 10 * mib}, <-told)
}
