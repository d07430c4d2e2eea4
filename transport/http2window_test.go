package transport_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"

	"github.com/watertight-go/watertight/internal/badserver"
)

// A windowedServer sends not a byte more than its client's windows allow, and knows how much that is.
type windowedServer struct {
	*badserver.Frames
	conn, initial int64
	streams       map[uint32]int64 // what is left of their windows
	asked         []uint32         // that have yet to be answered
	updates       int
	stuck         func() // is called when it may not send
}

// next reads a frame.
func (w *windowedServer) next() error {
	got, err := w.ReadFrame()
	switch got := got.(type) {
	case *http2.MetaHeadersFrame:
		w.streams[got.StreamID] = w.initial
		w.asked = append(w.asked, got.StreamID)
	case *http2.SettingsFrame:
		if size, ok := got.Value(http2.SettingInitialWindowSize); ok {
			w.initial = int64(size)
		}
	case *http2.WindowUpdateFrame:
		w.updates++
		if got.StreamID == 0 {
			w.conn += int64(got.Increment)
		} else {
			w.streams[got.StreamID] += int64(got.Increment)
		}
	}
	return errors.Join(err, w.Answer(got))
}

// request returns the next that there is, and answers it so far.
func (w *windowedServer) request() (stream uint32, err error) {
	for len(w.asked) == 0 && err == nil {
		err = w.next()
	}
	if err != nil {
		return 0, err
	}
	stream, w.asked = w.asked[0], w.asked[1:]
	return stream, w.Head(stream, false, ":status", "200")
}

// send sends so much, as far as it may, and then the stream's end.
func (w *windowedServer) send(stream uint32, n int64) (err error) {
	for ; n > 0 && err == nil; err = w.stall(n, stream) {
		for n > 0 && err == nil {
			some := min(n, w.conn, w.streams[stream], 16<<10)
			if some <= 0 {
				break
			}
			w.conn, w.streams[stream], n = w.conn-some, w.streams[stream]-some, n-some
			err = w.WriteData(stream, n == 0, make([]byte, some))
		}
	}
	return err
}

// stall waits for room, if there is more to send.
func (w *windowedServer) stall(n int64, stream uint32) (err error) {
	if n > 0 {
		w.stuck()
	}
	for n > 0 && err == nil && (w.conn <= 0 || w.streams[stream] <= 0) {
		err = w.next()
	}
	return err
}

func windowed(serve func(w *windowedServer) error) badserver.Script {
	return speaks(func(f *badserver.Frames) error {
		return serve(&windowedServer{Frames: f, conn: 65535, initial: 65535, streams: map[uint32]int64{}, stuck: func() {}})
	})
}

// What is read of bodies that have arrived is given back at once where another stream waits for it: what else lies unread fills the
// rest of the connection's window, and nothing more is written.
func TestWindowIsGivenBack(t *testing.T) {
	const whole = 1<<20 + 65535 // what is set, and what there is at first
	stuck := make(chan bool, 1)
	server := badserver.Start(t, windowed(func(w *windowedServer) error {
		waits, err := w.request()
		for _, size := range []int64{1 << 20, 65535} {
			var stream uint32
			if err == nil {
				stream, err = w.request()
			}
			if err == nil {
				err = w.send(stream, size)
			}
		}
		if err == nil {
			assert.Zero(t, w.conn)
			w.stuck = func() {
				select {
				case stuck <- true:
				default:
				}
			}
			err = w.send(waits, 100000)
		}
		return errors.Join(err, w.Rest())
	}))
	tr := cleartext(t)
	tr.HTTP2 = &http.HTTP2Config{MaxReceiveBufferPerConnection: 1 << 20, MaxReceiveBufferPerStream: 1 << 20}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var bodies []io.ReadCloser
	for range 3 {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
		require.NoError(t, err)
		resp, err := tr.RoundTrip(req)
		require.NoError(t, err)
		bodies = append(bodies, resp.Body)
	}
	<-stuck
	for i, want := range []int{1 << 20, 100000, whole - 1<<20} {
		b, err := io.ReadAll(bodies[[]int{1, 0, 2}[i]])
		require.NoError(t, err)
		assert.Len(t, b, want)
	}
}

// Where nobody waits for it, what was read is told to the server with the next request; and a small body goes out with its head, if
// nobody was faster.
func TestHTTP2WritesOncePerRequest(t *testing.T) {
	for _, row := range []struct {
		name         string
		upload, body int64
	}{{"GET 4 KiB", 0, 4 << 10}, {"GET 16 KiB", 0, 16 << 10}, {"POST 1 KiB", 1 << 10, 13}} {
		t.Run(row.name, func(t *testing.T) {
			const requests = 100
			var updates atomic.Int64
			server := badserver.Start(t, windowed(func(w *windowedServer) error {
				for {
					stream, err := w.request()
					if err == nil {
						err = w.Together(func() error { return w.send(stream, row.body) })
					}
					if err != nil {
						return err
					}
					updates.Store(int64(w.updates))
				}
			}))
			tr := cleartext(t)
			var writes atomic.Int64
			tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				nc, err := new(net.Dialer).DialContext(ctx, network, addr)
				return countedWrites{nc, &writes}, err
			}
			send := func() {
				req, err := http.NewRequest(http.MethodPost, server.URL, strings.NewReader(strings.Repeat("x", int(row.upload))))
				require.NoError(t, err)
				if row.upload == 0 {
					req.Method, req.Body = http.MethodGet, nil
				}
				resp, err := tr.RoundTrip(req)
				require.NoError(t, err)
				b, err := io.ReadAll(resp.Body)
				require.NoError(t, err)
				assert.Len(t, b, int(row.body))
			}
			send() // SETTINGS are acknowledged before its answer is read
			before := writes.Load()
			for range requests {
				send()
			}
			if row.upload > 0 {
				assert.Less(t, writes.Load()-before, int64(2*requests))
			} else {
				assert.EqualValues(t, requests, writes.Load()-before)
				assert.InDelta(t, requests, updates.Load(), 2, "one with each request")
			}
		})
	}
}

// countedWrites is a connection of which the Writes are counted.
type countedWrites struct {
	net.Conn
	writes *atomic.Int64
}

func (c countedWrites) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(p)
}
