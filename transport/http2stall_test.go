package transport_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/transport"
)

// A stalledConn is a connection on which Writes wait for ever from a moment on.
type stalledConn struct {
	net.Conn
	stalls atomic.Bool
	goesOn chan struct{} // closed: they fail
}

func (c *stalledConn) Write(p []byte) (int, error) {
	if c.stalls.Load() {
		<-c.goesOn
		return 0, net.ErrClosed
	}
	return c.Conn.Write(p)
}

// Where a Write waits, with what was in the outbox, and another one for that, the time of a bubble passes nevertheless.
func TestTimePassesWhileTheOutboxWaits(t *testing.T) {
	pinged(t, nil, answers(0, nil), func(t *testing.T, tr *transport.Transport) {
		c, dial := &stalledConn{goesOn: make(chan struct{})}, tr.DialContext
		tr.DialContext = func(ctx context.Context, network, addr string) (nc net.Conn, err error) {
			c.Conn, err = dial(ctx, network, addr)
			return c, err
		}
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
