package transport_test

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/internal/badserver"
	"github.com/watertight-go/watertight/transport"
)

// Requests that share the first connection to a server, which ends before that has said a word of HTTP/2, are told so, and soon: they
// share one more at most. Where that works, only the one that the first was opened for has failed.
func TestHTTP2BrokenAtFirst(t *testing.T) {
	const requests = 50
	for name, row := range map[string]struct{ broken, failed, dials int64 }{
		"once":     {1, 1, 2},
		"for good": {1000, requests, 2},
	} {
		t.Run(name, func(t *testing.T) {
			scripted(t, nil, func(conn int) badserver.Script {
				if int64(conn) >= row.broken {
					return speaks(answers(0, nil))
				}
				return badserver.Script{badserver.HTTP2{Late: true, Speak: func(*badserver.Frames) error {
					time.Sleep(100 * time.Millisecond) // of the bubble
					return errors.New("broken")
				}}}
			}, func(t *testing.T, tr *transport.Transport) {
				began := time.Now()
				var failed atomic.Int64
				var wg sync.WaitGroup
				for range requests {
					wg.Go(func() {
						req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://a.example/", nil)
						require.NoError(t, err)
						resp, err := tr.RoundTrip(req)
						if err != nil {
							assert.ErrorIs(t, err, io.ErrUnexpectedEOF)
							failed.Add(1)
							return
						}
						assert.NoError(t, resp.Body.Close())
					})
				}
				wg.Wait()
				assert.Equal(t, row.failed, failed.Load())
				assert.Less(t, time.Since(began), time.Second)
				assert.Equal(t, row.dials, tr.Stats().Dials)
			})
		})
	}
}
