package transport_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/internal/memnet"
	"github.com/watertight-go/watertight/transport"
)

// drip sends some bytes each second until the client leaves.
func drip(w http.ResponseWriter, r *http.Request) {
	for r.Context().Err() == nil {
		_, _ = w.Write([]byte("data"))
		w.(http.Flusher).Flush()
		select {
		case <-time.After(time.Second):
		case <-r.Context().Done():
		}
	}
}

// rounds is how often a race between two ends is run: often enough to have failed before it was decided who wins.
func rounds() int {
	if testing.Short() {
		return 30
	}
	return 300
}

// wantNoneOpen wants every connection to have left its exchange.
func (s *story) wantNoneOpen() {
	s.Helper()
	s.eventually("no lease and no body left", func() bool {
		stats := s.ours.Stats()
		return stats.Leased == 0 && stats.Bodies == 0
	})
}

// A disturbedConn runs a function, once, when a Read has brought bytes and before it returns them.
type disturbedConn struct {
	net.Conn
	disturb func()
}

func (c *disturbedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if f := c.disturb; n > 0 && f != nil {
		c.disturb = nil
		f()
	}
	return n, err
}

// A cancellation or a Close that comes while a Read has its bytes already gives the connection back, also where no other Read
// follows.
func TestEndsBesideARead(t *testing.T) {
	for name, end := range map[string]func(context.CancelFunc, *http.Response){
		"cancel": func(cancel context.CancelFunc, _ *http.Response) { cancel() },
		"close":  func(_ context.CancelFunc, resp *http.Response) { _ = resp.Body.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, drip, func(t *testing.T, n *memnet.Network, _ *http.Server, tr *transport.Transport) {
				var c *disturbedConn
				tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
					nc, err := n.DialContext(ctx, network, addr)
					c = &disturbedConn{Conn: nc}
					return c, err
				}
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://a.example/", nil)
				require.NoError(t, err)
				resp, err := tr.RoundTrip(req)
				require.NoError(t, err)
				c.disturb = func() {
					end(cancel, resp)
					synctest.Wait()
				}
				for c.disturb != nil {
					_, _ = resp.Body.Read(make([]byte, 64))
				}
				synctest.Wait()
				assert.Zero(t, tr.Stats().Leased)
				assert.Empty(t, tr.OpenBodies())
			})
		})
	}
}

// A Close that comes as the last Read ends the exchange does not hit the connection's next one.
func TestCloseBesideTheLastRead(t *testing.T) {
	handler := func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "first")
		w.(http.Flusher).Flush()
		_, _ = io.WriteString(w, "second")
	}
	ours(t, handler, func(s *story) {
		for range 4 * rounds() {
			resp := s.get("/")
			var wg sync.WaitGroup
			wg.Go(func() { _ = resp.Body.Close() })
			_, _ = io.Copy(io.Discard, resp.Body)
			assert.Equal(s, "firstsecond", s.read(s.get("/")))
			wg.Wait()
		}
	})
}

// A head that comes just when ResponseHeaderTimeout ends is a response or a timeout, and never half of either.
func TestHeadAtItsTimeout(t *testing.T) {
	const limit = 2 * time.Millisecond
	handler := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		time.Sleep(limit - limit/16)
		_, _ = io.WriteString(w, "whole")
	}
	ours(t, handler, func(s *story) {
		for range rounds() {
			resp, err := s.rt.RoundTrip(s.request(http.MethodPost, "/", struct{ io.Reader }{strings.NewReader("upload")}))
			if err != nil {
				require.ErrorIs(s, err, context.DeadlineExceeded)
				continue
			}
			b, err := io.ReadAll(resp.Body)
			if err == nil {
				assert.Equal(s, "whole", string(b))
			} else {
				assert.True(s, errors.Is(err, context.DeadlineExceeded), err)
			}
			_ = resp.Body.Close()
		}
		s.wantNoneOpen()
	}, func(t *http.Transport) { t.ResponseHeaderTimeout = limit })
}
