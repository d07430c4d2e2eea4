package transport_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"

	"github.com/watertight-go/watertight/internal/badserver"
	"github.com/watertight-go/watertight/transport"
)

// takesOnly answers so many requests, and says GOAWAY when it has them, like nginx with its keepalive_requests; of those that came behind
// it takes no notice. If there are to be none it takes all.
func takesOnly(requests int) func(*badserver.Frames) error {
	return func(f *badserver.Frames) error {
		time.Sleep(time.Millisecond) // until those are here who came together
		for n := 1; ; n++ {
			stream, err := f.AwaitRequest()
			switch {
			case err != nil:
				return err
			case requests > 0 && n > requests:
				continue
			case n == requests:
				err = f.WriteGoAway(stream, http2.ErrCodeNo, nil)
			}
			if err = errors.Join(err, f.Head(stream, true, ":status", "200")); err != nil {
				return err
			}
		}
	}
}

// posts sends requests at once whose bodies cannot be had again, and returns how many failed.
func posts(t *testing.T, tr *transport.Transport, requests int) int {
	var failed atomic.Int64
	var wg sync.WaitGroup
	for range requests {
		wg.Go(func() {
			req, err := http.NewRequest(http.MethodPost, "http://a.example/", io.NopCloser(strings.NewReader("hello")))
			if !assert.NoError(t, err) {
				return
			}
			resp, err := tr.RoundTrip(req)
			if err != nil {
				assert.ErrorContains(t, err, "GOAWAY")
				failed.Add(1)
				return
			}
			assert.NoError(t, resp.Body.Close())
		})
	}
	wg.Wait()
	synctest.Wait() // a lease may end after its Read
	return int(failed.Load())
}

// A server that takes only so many requests on each connection loses what exceeds them on the first two. What follows goes to connections
// that carry no more: nothing is lost, and nothing waits. A request that was counted and not written makes no difference.
func TestHTTP2Budget(t *testing.T) {
	pinged(t, nil, takesOnly(10), func(t *testing.T, tr *transport.Transport) {
		began := time.Now()
		assert.Equal(t, 20, posts(t, tr, 30))
		assert.Equal(t, 20, posts(t, tr, 30))
		for range 5 {
			assert.Zero(t, posts(t, tr, 30))
		}
		ctx, cancel := context.WithCancel(t.Context())
		ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { cancel() }})
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://a.example/", nil)
		require.NoError(t, err)
		_, err = tr.RoundTrip(req)
		require.ErrorIs(t, err, context.Canceled)
		assert.Zero(t, posts(t, tr, 9))
		assert.Zero(t, posts(t, tr, 30))
		assert.Less(t, time.Since(began), time.Second)
		assert.EqualValues(t, 21, tr.Stats().Dials)
		assert.Zero(t, tr.Stats().Leased)
	})
}

// A negative MaxConnsPerHost is none, here too.
func TestHTTP2BudgetWithANegativeLimit(t *testing.T) {
	pinged(t, nil, takesOnly(10), func(t *testing.T, tr *transport.Transport) {
		tr.MaxConnsPerHost = -1
		for range 2 {
			assert.Equal(t, 20, posts(t, tr, 30))
		}
		assert.Zero(t, posts(t, tr, 30))
	})
}

// Requests that are too many for one connection do not wait for one dial after the other.
func TestHTTP2BudgetDials(t *testing.T) {
	pinged(t, nil, takesOnly(10), func(t *testing.T, tr *transport.Transport) {
		const takes = 100 * time.Millisecond
		dial := tr.DialContext
		tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			time.Sleep(takes)
			return dial(ctx, network, addr)
		}
		for range 2 {
			assert.Equal(t, 2, posts(t, tr, 12))
		}
		began := time.Now()
		assert.Zero(t, posts(t, tr, 200))
		assert.Less(t, time.Since(began), 3*takes)
		assert.EqualValues(t, 22, tr.Stats().Dials)
	})
}

// A GOAWAY of a server that is about to restart says nothing of how many requests the next one takes. If the next says the same, and means
// nothing by it either, that is found out on one connection.
func TestHTTP2BudgetForgotten(t *testing.T) {
	for name, tt := range map[string]struct {
		taken []int
		dials int64
	}{
		"a restart":                      {[]int{10}, 2},
		"two restarts":                   {[]int{10, 11}, 3},
		"as many twice as may be a rule": {[]int{10, 10}, 4},
		"too few for one":                {[]int{5, 5}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			scripted(t, nil, func(conn int) badserver.Script {
				if conn < len(tt.taken) {
					return speaks(takesOnly(tt.taken[conn]))
				}
				return speaks(takesOnly(0))
			}, func(t *testing.T, tr *transport.Transport) {
				for _, taken := range tt.taken {
					require.Equal(t, 2, posts(t, tr, taken+2))
				}
				for range 100 {
					assert.Zero(t, posts(t, tr, 1))
				}
				assert.Equal(t, tt.dials, tr.Stats().Dials)
			})
		})
	}
}

// A GOAWAY that comes twice, as a server may say it once more when it closes the connection, counts once.
func TestHTTP2BudgetSaidTwice(t *testing.T) {
	scripted(t, nil, func(conn int) badserver.Script {
		if conn > 0 {
			return speaks(takesOnly(0))
		}
		return speaks(func(f *badserver.Frames) error {
			time.Sleep(time.Millisecond)
			var last uint32
			for range 10 {
				stream, err := f.AwaitRequest()
				if err != nil {
					return err
				}
				last = stream
			}
			time.Sleep(time.Millisecond)
			return errors.Join(f.WriteGoAway(last, http2.ErrCodeNo, nil), f.WriteGoAway(last, http2.ErrCodeNo, nil))
		})
	}, func(t *testing.T, tr *transport.Transport) {
		require.Equal(t, 12, posts(t, tr, 12))
		for range 100 {
			assert.Zero(t, posts(t, tr, 1))
		}
		assert.EqualValues(t, 2, tr.Stats().Dials)
	})
}
