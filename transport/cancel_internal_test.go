package transport

import (
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// silentServer returns the URL of a server that never answers. heard is told of each connection.
func silentServer(t *testing.T) (url string, heard chan struct{}) {
	server, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = server.Close() })
	heard = make(chan struct{}, 100)
	go func() {
		for {
			nc, err := server.Accept()
			if err != nil {
				return
			}
			heard <- struct{}{}
			go func() {
				_, _ = io.Copy(io.Discard, nc)
				_ = nc.Close()
			}()
		}
	}()
	return "http://" + server.Addr().String(), heard
}

// A timeout of http.Client's ends its request by the context, and nobody looks for that on each connection there is.
func TestClientTimeoutWalksOverNoConnections(t *testing.T) {
	url, _ := silentServer(t)
	tr := New()
	defer tr.Close()
	client := &http.Client{Transport: tr, Timeout: 10 * time.Millisecond}
	for range 20 {
		_, err := client.Get(url)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.ErrorContains(t, err, "Client.Timeout exceeded")
	}
	assert.Zero(t, tr.core.Load().cancels.now(), "searches for a request")
}

// A late context says that it ends, and does not.
type late struct{ context.Context }

func (late) Deadline() (time.Time, bool) { return time.Unix(1, 0), true }

// CancelRequest ends a request whose context does not keep its word.
func TestCancelRequestBeyondTheDeadline(t *testing.T) {
	url, heard := silentServer(t)
	tr := New()
	defer tr.Close()
	req, err := http.NewRequestWithContext(late{t.Context()}, http.MethodGet, url, nil)
	require.NoError(t, err)
	go func() {
		<-heard
		tr.CancelRequest(req)
	}()
	_, err = tr.RoundTrip(req)
	assert.Equal(t, errRequestCanceled, err)
}
