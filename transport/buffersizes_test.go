package transport_test

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
)

// A measuringConn notes the largest Read it was asked for.
type measuringConn struct {
	net.Conn
	mu   *sync.Mutex
	most *int
}

func (c measuringConn) Read(p []byte) (int, error) {
	c.mu.Lock()
	*c.most = max(*c.most, len(p))
	c.mu.Unlock()
	return c.Conn.Read(p)
}

// A ReadBufferSize is how much is read at once; what fits into WriteBufferSize with its head is written at once.
func TestBufferSizes(t *testing.T) {
	for _, std := range []bool{true, false} {
		var mu sync.Mutex
		var writes []string
		most := 0
		s := newStory(t, echo, false, std, func(tr *http.Transport) {
			tr.ReadBufferSize, tr.WriteBufferSize = 1<<16, 1<<16
			dial := tr.DialContext
			tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				nc, err := dial(ctx, network, addr)
				return measuringConn{countingConn{nc, &mu, &writes}, &mu, &most}, err
			}
		})
		body := strings.Repeat("x", 40000)
		assert.Equal(s, "POST "+body, s.read(s.send(s.request(http.MethodPost, "/", bytes.NewReader([]byte(body))))))
		mu.Lock()
		assert.Equal(s, 1<<16, most)
		assert.Len(s, writes, 1)
		mu.Unlock()
	}
}

// No more than MaxIdleConnsPerHost connections of a host are kept; with a negative one none is.
func TestMaxIdleConnsPerHost(t *testing.T) {
	for limit, dials := range map[int]int64{2: 3 + 1, -1: 3 + 3} {
		release, arrived := make(chan struct{}), make(chan struct{})
		handler := func(http.ResponseWriter, *http.Request) {
			arrived <- struct{}{}
			<-release
		}
		everywhere1(t, handler, func(s *story) {
			for range 2 {
				var wg sync.WaitGroup
				for range 3 {
					wg.Go(func() { s.read(s.get("/")) })
				}
				for range 3 {
					<-arrived
				}
				for range 3 {
					release <- struct{}{}
				}
				wg.Wait()
				if s.ours != nil {
					s.eventually("kept", func() bool { return s.ours.Stats().Idle == max(limit, 0) })
				}
			}
			s.wantDials(dials)
		}, func(tr *http.Transport) { tr.MaxIdleConnsPerHost = limit })
	}
}
