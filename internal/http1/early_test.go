package http1_test

import (
	"io"
	"net"
	"net/http"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/internal/http1"
)

// A scripted connection reads what it is sent.
type scripted struct {
	net.Conn  // nil: for what is not used
	reads     chan any
	deadlines bool // it has some; they are set by SetReadDeadline(past)
	past      chan struct{}
}

func (c *scripted) Read(p []byte) (int, error) {
	select {
	case r := <-c.reads:
		if err, ok := r.(error); ok {
			return 0, err
		}
		return copy(p, r.(string)), nil
	case <-c.past:
		return 0, os.ErrDeadlineExceeded
	}
}

func (c *scripted) Write(p []byte) (int, error) { return len(p), nil }

func (c *scripted) SetReadDeadline(t time.Time) error {
	if !c.deadlines {
		return os.ErrNoDeadline
	}
	if !t.IsZero() {
		c.past <- struct{}{}
	}
	return nil
}

func (c *scripted) SetDeadline(time.Time) error { return os.ErrNoDeadline }

// An owner has the default settings and minds nothing.
type owner struct{ opts http1.Options }

func (o *owner) Options() *http1.Options { return &o.opts }
func (*owner) Aborted()                  {}
func (*owner) Arrived() bool             { return false }

// listened tells a story of a connection that is listened to, and of what the listener was told.
func listened(t *testing.T, deadlines bool, tell func(t *testing.T, nc *scripted, c *http1.Conn, listen func(), told func() []error)) {
	synctest.Test(t, func(t *testing.T) {
		nc := &scripted{reads: make(chan any, 200), deadlines: deadlines, past: make(chan struct{})}
		c := new(http1.Conn)
		c.Init(nc, new(owner))
		var errs []error
		listen := func() { c.Listen(func(err error) { errs = append(errs, err) }) }
		tell(t, nc, c, listen, func() []error { synctest.Wait(); return errs })
		select {
		case nc.reads <- io.ErrClosedPipe:
		default:
		}
	})
}

// exchange sends a request and returns the error, and the body of its response.
func exchange(t *testing.T, c *http1.Conn) (string, error) {
	x := c.Start()
	defer c.End()
	req, err := http.NewRequest(http.MethodGet, "http://a.example/", nil)
	require.NoError(t, err)
	x.Ctx, x.Request, x.Head.Target, x.Head.Host, x.Head.ContentLength = t.Context(), req, "/", "a.example", -1
	var resp http.Response
	if err := c.RoundTrip(&resp, nil); err != nil {
		return "", err
	}
	var body []byte
	for buf := make([]byte, 3); ; {
		n, err := c.ReadBody(buf)
		body = append(body, buf[:n]...)
		if err == io.EOF {
			return string(body), nil
		}
		if err != nil {
			return string(body), err
		}
	}
}

const hello = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

// What the peer does before the next exchange is told, once.
func TestListen(t *testing.T) {
	for name, tt := range map[string]struct {
		reads []any
		told  error
	}{
		"end":     {[]any{io.EOF}, io.EOF},
		"bytes":   {[]any{"x", io.EOF}, nil},
		"nothing": {make100("", io.EOF), io.ErrNoProgress},
	} {
		t.Run(name, func(t *testing.T) {
			listened(t, false, func(t *testing.T, nc *scripted, c *http1.Conn, listen func(), told func() []error) {
				listen()
				assert.Empty(t, told())
				for _, r := range tt.reads {
					nc.reads <- r
				}
				assert.Equal(t, []error{tt.told}, told())
				heard, err := c.Claim()
				assert.True(t, heard)
				assert.Equal(t, tt.told, err)
			})
		})
	}
}

// make100 is more reads without a byte than anybody should put up with, and what comes after them.
func make100(read string, last error) (reads []any) {
	for range 150 {
		reads = append(reads, read)
	}
	return append(reads, last)
}

// The exchange has what comes after Claim, from the Read that had begun before, whether a deadline ended that or not; and
// the listener is told of nothing.
func TestClaim(t *testing.T) {
	for _, deadlines := range []bool{false, true} {
		listened(t, deadlines, func(t *testing.T, nc *scripted, c *http1.Conn, listen func(), told func() []error) {
			for range 3 {
				listen()
				heard, _ := c.Claim()
				require.False(t, heard)
				assert.False(t, c.HeardLate())
				nc.reads <- hello
				body, err := exchange(t, c)
				require.NoError(t, err)
				assert.Equal(t, "hello", body)
				assert.False(t, c.Listens())
			}
			assert.Empty(t, told())
		})
	}
}

// The end that comes between Claim and the exchange is seen by who looks, and by the exchange.
func TestHeardLate(t *testing.T) {
	listened(t, false, func(t *testing.T, nc *scripted, c *http1.Conn, listen func(), told func() []error) {
		listen()
		heard, _ := c.Claim()
		require.False(t, heard)
		nc.reads <- io.EOF
		assert.Empty(t, told())
		assert.True(t, c.HeardLate())
		_, err := exchange(t, c)
		assert.Equal(t, io.EOF, err)
	})
}

// An exchange that did not come to reading gives the Read back to the listener, who is told of its end, be it before or after.
func TestListenAgain(t *testing.T) {
	for _, before := range []bool{true, false} {
		listened(t, false, func(t *testing.T, nc *scripted, c *http1.Conn, listen func(), told func() []error) {
			listen()
			heard, _ := c.Claim()
			require.False(t, heard)
			c.Start()
			c.End()
			if before {
				nc.reads <- io.EOF
				assert.Empty(t, told())
			}
			listen()
			if !before {
				assert.Empty(t, told())
				nc.reads <- io.EOF
			}
			assert.Equal(t, []error{io.EOF}, told())
		})
	}
}
