package transport_test

import (
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/internal/memnet"
	"github.com/watertight-go/watertight/transport"
)

// A pacedBody has no end, and brings a piece every 20 ms.
type pacedBody struct {
	reading atomic.Bool
	under   atomic.Bool // a Read was in progress at the Close
	closed  chan struct{}
}

func (b *pacedBody) Read(p []byte) (int, error) {
	b.reading.Store(true)
	defer b.reading.Store(false)
	time.Sleep(20 * time.Millisecond)
	return copy(p, "piece"), nil
}

func (b *pacedBody) Close() error {
	b.under.Store(b.reading.Load())
	close(b.closed)
	return nil
}

// What a server says with a body of 10 bytes.
const (
	answersHead = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"
	wholeAnswer = "begunended"
	begunAnswer = "begun"
)

// beginsToAnswer answers the first request before it has read all of it, and reads on.
func beginsToAnswer(l net.Listener, head, answer string) {
	c, err := l.Accept()
	if err != nil {
		return
	}
	defer c.Close()
	_, _ = c.Read(make([]byte, 4096))
	_, _ = io.WriteString(c, head+answer)
	_, _ = io.Copy(io.Discard, c)
}

// Whoever counts what is read of a request's body has the sum at its Close, and who wants to use the body again waits for that: where
// the server has answered early, a Read that is about to return does so before.
func TestARequestBodyIsClosedBetweenItsReads(t *testing.T) {
	for name, answer := range map[string]string{"response read": wholeAnswer, "response closed": begunAnswer} {
		for _, std := range []bool{false, true} {
			t.Run(name+map[bool]string{false: "/ours", true: "/std"}[std], func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { closedBetweenReads(t, answer, std) })
			})
		}
	}
}

func closedBetweenReads(t *testing.T, answer string, std bool) {
	var n memnet.Network
	l, err := n.Listen("a.example:80")
	require.NoError(t, err)
	go beginsToAnswer(l, answersHead, answer)
	var rt roundTripper = &transport.Transport{DialContext: n.DialContext}
	if std {
		rt = &http.Transport{DialContext: n.DialContext}
	}
	body := &pacedBody{closed: make(chan struct{})}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://a.example/", body)
	require.NoError(t, err)
	resp, err := rt.RoundTrip(req)
	require.NoError(t, err)
	time.Sleep(110 * time.Millisecond) // in the middle of a Read
	if answer == wholeAnswer {
		_, err = io.ReadAll(resp.Body)
		require.NoError(t, err)
	}
	require.NoError(t, resp.Body.Close())
	<-body.closed
	assert.False(t, body.under.Load(), "closed while it was read")
	time.Sleep(time.Second)
	rt.CloseIdleConnections()
	require.NoError(t, l.Close())
	synctest.Wait()
	assert.Zero(t, n.Open(), "ends of connections")
}

// An upload that its caller ends waits for nobody, itself least of all: its connection is given up at once, whether the response is all
// there or not.
func TestAStoppedUploadHoldsNoConnection(t *testing.T) {
	for name, answer := range map[string]string{"whole": wholeAnswer, "begun": begunAnswer} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var n memnet.Network
				l, err := n.Listen("a.example:80")
				require.NoError(t, err)
				go beginsToAnswer(l, answersHead, answer)
				tr := &transport.Transport{DialContext: n.DialContext}
				r, w := io.Pipe()
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://a.example/", r)
				require.NoError(t, err)
				resp, err := tr.RoundTrip(req)
				require.NoError(t, err)
				synctest.Wait()
				require.NoError(t, w.CloseWithError(io.ErrClosedPipe))
				synctest.Wait() // and no time has passed
				assert.Zero(t, tr.Stats().Leased)
				assert.Zero(t, n.Open(), "ends of connections")
				got, err := io.ReadAll(resp.Body)
				assert.Equal(t, answer, string(got))
				if answer == wholeAnswer {
					require.NoError(t, err)
				} else {
					assert.ErrorIs(t, err, io.ErrClosedPipe)
				}
				require.NoError(t, resp.Body.Close())
				require.NoError(t, tr.Close())
				require.NoError(t, l.Close())
			})
		})
	}
}
