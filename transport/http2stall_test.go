package transport_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/internal/badserver"
	"github.com/watertight-go/watertight/transport"
)

// A stalledConn is a connection on which Writes wait from a moment on.
type stalledConn struct {
	net.Conn
	stalls atomic.Bool
	goesOn chan struct{} // closed: until then
}

func (c *stalledConn) Write(p []byte) (int, error) {
	if c.stalls.Load() {
		<-c.goesOn
	}
	return c.Conn.Write(p)
}

// stallFirst makes the first connection of tr one.
func stallFirst(tr *transport.Transport) *stalledConn {
	c, dial := &stalledConn{goesOn: make(chan struct{})}, tr.DialContext
	tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := dial(ctx, network, addr)
		if c.Conn != nil || err != nil {
			return nc, err
		}
		c.Conn = nc
		return c, nil
	}
	return c
}

// Where a Write waits, with what was in the outbox, and another one for that, the time of a bubble passes nevertheless.
func TestTimePassesWhileTheOutboxWaits(t *testing.T) {
	pinged(t, nil, answers(0, nil), func(t *testing.T, tr *transport.Transport) {
		c := stallFirst(tr)
		require.NoError(t, mustGet(t, tr, "http://a.example/").Body.Close())
		c.stalls.Store(true)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		body, upload := io.Pipe()
		time.AfterFunc(time.Second, func() { _, _ = upload.Write([]byte("hello")) })
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://a.example/", body)
		require.NoError(t, err)
		_, err = tr.RoundTrip(req)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		close(c.goesOn)
	})
}

// What comes for a request that was given up, before the server knows of that, the codec gives back to no window. A connection that has
// lost much of it is used no more, or all that is sent there would wait for ever.
func TestWindowIsEaten(t *testing.T) {
	config := &http.HTTP2Config{MaxReceiveBufferPerConnection: 1 << 16, MaxReceiveBufferPerStream: 1 << 16} // 131,071 bytes, with what there is at first
	late := func(size int) func(int) badserver.Script {
		return func(int) badserver.Script {
			return speaks(func(f *badserver.Frames) error {
				for {
					stream, err := f.AwaitRequest()
					if err != nil {
						return err
					}
					time.Sleep(10 * time.Second) // of the bubble
					err = f.Head(stream, false, ":status", "200")
					for left := size; left > 0 && err == nil; left -= 10000 {
						err = f.WriteData(stream, left <= 10000, make([]byte, min(left, 10000)))
					}
					if err != nil {
						return err
					}
				}
			})
		}
	}
	for size, dials := range map[int]uint64{32767: 1, 32768: 2} {
		scripted(t, config, late(size), func(t *testing.T, tr *transport.Transport) {
			c := stallFirst(tr)
			_, err := io.Copy(io.Discard, mustGet(t, tr, "http://a.example/").Body)
			require.NoError(t, err)
			time.AfterFunc(time.Second/2, func() { c.stalls.Store(true) })
			brief(t, tr)
			time.Sleep(10 * time.Second)
			close(c.goesOn)
			synctest.Wait()
			_, err = io.Copy(io.Discard, mustGet(t, tr, "http://a.example/").Body)
			require.NoError(t, err)
			assert.EqualValues(t, dials, tr.Stats().Dials)
		})
	}
}
