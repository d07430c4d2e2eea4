package http1

import (
	"context"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A slowWriter is a connection whose peer says nothing. A Write of a request's body takes a second, whatever the deadline, and succeeds.
type slowWriter struct {
	net.Conn // nil: for what is not used
	writes   int
	past     chan struct{} // closed by a deadline
}

func (c *slowWriter) Read([]byte) (int, error) {
	<-c.past
	return 0, os.ErrDeadlineExceeded
}

func (c *slowWriter) Write(p []byte) (int, error) {
	if c.writes++; c.writes > 1 {
		time.Sleep(time.Second)
	}
	return len(p), nil
}

func (c *slowWriter) SetReadDeadline(time.Time) error { return nil }

func (c *slowWriter) SetDeadline(time.Time) error {
	if !isClosed(c.past) {
		close(c.past)
	}
	return nil
}

// A notedBody notes what is asked of it, and when.
type notedBody struct{ calls []string }

func (b *notedBody) Read(p []byte) (int, error) {
	b.calls = append(b.calls, "Read")
	return len(p), nil
}

func (b *notedBody) Close() error {
	b.calls = append(b.calls, "Close")
	return nil
}

// A request that fails while a part of its body is being written has no more of it read, and one goroutine alone at its body: who writes
// closes it, and RoundTrip waits for that.
func TestAFailedRequestLeavesItsBodyToTheWriter(t *testing.T) {
	for name, length := range map[string]int64{"chunked": -1, "of a length": 1 << 20} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
				defer cancel()
				req, err := http.NewRequest(http.MethodPost, "http://a.example/", nil)
				require.NoError(t, err)
				body := new(notedBody)
				c := new(Conn)
				c.Init(&slowWriter{past: make(chan struct{})}, new(anOwner))
				x := c.Start()
				x.Ctx, x.Request, x.Body = ctx, req, body
				x.Head.Target, x.Head.Host, x.Head.ContentLength, x.Head.Chunked = "/", "a.example", length, length < 0
				var resp http.Response
				assert.ErrorIs(t, c.RoundTrip(&resp, nil), context.DeadlineExceeded)
				assert.Equal(t, []string{"Read", "Close"}, body.calls)
				c.End()
			})
		})
	}
}

// A lateBody is one whose first byte comes when the head has long announced it.
type lateBody struct{ notedBody }

func (b *lateBody) Read([]byte) (int, error) {
	time.Sleep(probeTime + uploadGrace/2)
	b.calls = append(b.calls, "Read")
	return 1, nil
}

// The body of a request that is cancelled before anybody waits for its first byte, which was asked for ahead, is not closed beside that Read.
func TestABodyIsNotClosedBesideItsProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		req, err := http.NewRequest(http.MethodDelete, "http://a.example/", nil)
		require.NoError(t, err)
		body := new(lateBody)
		c := new(Conn)
		c.Init(&slowWriter{past: make(chan struct{})}, new(anOwner))
		x := c.Start()
		x.Ctx, x.Request, x.Body, x.Probe = ctx, req, body, true
		x.Head.Target, x.Head.Host, x.Head.ContentLength = "/", "a.example", -1
		x.Trace = &httptrace.ClientTrace{WroteHeaders: func() {
			cancel()
			synctest.Wait()
		}}
		var resp http.Response
		assert.ErrorIs(t, c.RoundTrip(&resp, nil), context.Canceled)
		assert.Equal(t, []string{"Read", "Close"}, body.calls)
		c.End()
	})
}

// A blockedBody has nothing until it is closed.
type blockedBody struct{ closed chan struct{} }

func (b blockedBody) Read([]byte) (int, error) { <-b.closed; return 0, os.ErrClosed }

func (b blockedBody) Close() error {
	if !isClosed(b.closed) {
		close(b.closed)
	}
	return nil
}

// Where that Read blocks it is ended by the Close, also if the exchange fails before the upload has its first turn.
func TestAProbeThatBlocksIsEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		body := blockedBody{make(chan struct{})}
		c := new(Conn)
		c.Init(&slowWriter{past: make(chan struct{})}, new(anOwner))
		x := c.Start()
		x.Ctx, x.Body = t.Context(), body
		require.NoError(t, x.probe())
		c.up = newUpload(c)
		assert.Equal(t, os.ErrDeadlineExceeded, c.up.abandon(os.ErrDeadlineExceeded))
		assert.True(t, isClosed(body.closed))
		c.up.run()
		c.End()
	})
}
