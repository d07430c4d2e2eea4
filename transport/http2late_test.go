package transport_test

import (
	"context"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"

	"github.com/watertight-go/watertight/internal/badserver"
)

// SETTINGS are heard when they come, not with what comes next: a request that waits for a stream has it.
func TestHTTP2SettingsAlone(t *testing.T) {
	waits := make(chan struct{})
	server := badserver.Start(t, speaks(func(f *badserver.Frames) error {
		first, err := f.AwaitRequest()
		if err != nil {
			return err
		}
		if err := f.Head(first, false, ":status", "200"); err != nil {
			return err
		}
		<-waits
		if err := f.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 2}); err != nil {
			return err
		}
		return answers(0, nil)(f)
	}, http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 1}))
	tr := cleartext(t)
	tr.MaxConnsPerHost = 1
	resp := mustGet(t, tr, server.URL)
	second := make(chan error, 1)
	go func() {
		_, _, err := do(t, tr, http.MethodGet, server.URL, "", nil)
		second <- err
	}()
	require.Eventually(t, func() bool { return tr.Stats().Waiting == 1 }, patience, tick)
	close(waits)
	select {
	case err := <-second:
		assert.NoError(t, err)
	case <-time.After(patience):
		t.Error("it waits still")
	}
	require.NoError(t, resp.Body.Close())
}

// A tardyConn is back from a Write only when it may.
type tardyConn struct {
	net.Conn
	tardy atomic.Bool
	back  chan struct{}
}

func (c *tardyConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if c.tardy.CompareAndSwap(true, false) {
		<-c.back
	}
	return n, err
}

// A request whose answer is refused was processed, also while its writer has yet to say that it was written, and is not sent again.
func TestHTTP2RefusedAnswerBeforeTheWriterIsBack(t *testing.T) {
	var posts atomic.Int32
	server := badserver.Start(t,
		speaks(func(f *badserver.Frames) error {
			return answers(1, func(f *badserver.Frames, stream uint32) error {
				posts.Add(1)
				return f.Together(func() error {
					if err := f.WriteGoAway(stream, http2.ErrCodeNo, nil); err != nil {
						return err
					}
					if err := f.Head(stream, false, ":status", "0200"); err != nil {
						return err
					}
					return f.WriteData(stream, true, []byte("hello"))
				})
			})(f)
		}),
		speaks(func(f *badserver.Frames) error {
			_, err := f.AwaitRequest()
			posts.Add(1)
			return err
		}))
	tr := cleartext(t)
	c, dials, again := &tardyConn{back: make(chan struct{})}, atomic.Int32{}, make(chan struct{})
	tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := new(net.Dialer).DialContext(ctx, network, addr)
		if dials.Add(1) > 1 {
			close(again)
			return nc, err
		}
		c.Conn = nc
		return c, err
	}
	require.NoError(t, mustGet(t, tr, server.URL).Body.Close())
	require.Eventually(t, func() bool { return tr.Stats().Leased == 0 }, patience, tick)
	c.tardy.Store(true)
	go func() {
		select {
		case <-again: // the fault
		case <-time.After(200 * time.Millisecond): // how long it has to show itself
		}
		close(c.back)
	}()
	_, _, err := do(t, tr, http.MethodPost, server.URL, "", nil)
	require.ErrorContains(t, err, "status")
	assert.EqualValues(t, 1, posts.Load())
	require.Eventually(t, func() bool { return tr.Stats().Leased == 0 }, patience, tick)
}
