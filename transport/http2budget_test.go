package transport_test

import (
	"errors"
	"io"
	"net/http"
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

// A server that takes only so many requests on each connection loses what exceeds them on the first. What follows goes to connections that
// carry no more: nothing is lost, and nothing waits.
func TestHTTP2Budget(t *testing.T) {
	pinged(t, nil, takesOnly(10), func(t *testing.T, tr *transport.Transport) {
		began := time.Now()
		assert.Equal(t, 20, posts(t, tr, 30))
		for range 5 {
			assert.Zero(t, posts(t, tr, 30))
		}
		assert.Less(t, time.Since(began), time.Second)
		assert.EqualValues(t, 16, tr.Stats().Dials)
		assert.Zero(t, tr.Stats().Leased)
	})
}

// A GOAWAY of a server that is about to restart says nothing of how many requests the next one takes: that is found out on one connection.
func TestHTTP2BudgetForgotten(t *testing.T) {
	for name, tt := range map[string]struct {
		taken int
		dials int64
	}{
		"as many as may be a rule": {10, 3},
		"too few for one":          {5, 2},
	} {
		t.Run(name, func(t *testing.T) {
			scripted(t, nil, func(conn int) badserver.Script {
				if conn == 0 {
					return speaks(takesOnly(tt.taken))
				}
				return speaks(takesOnly(0))
			}, func(t *testing.T, tr *transport.Transport) {
				require.Equal(t, 2, posts(t, tr, tt.taken+2))
				for range 100 {
					assert.Zero(t, posts(t, tr, 1))
				}
				assert.Equal(t, tt.dials, tr.Stats().Dials)
			})
		})
	}
}
