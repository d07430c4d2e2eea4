package transport_test

import (
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"

	"github.com/watertight-go/watertight/internal/badserver"
	"github.com/watertight-go/watertight/transport"
)

// Trailer fields of a request without a body are not sent, as over HTTP/1.1: its head ends it, for the server and for its lease.
func TestHTTP2TrailerWithoutABody(t *testing.T) {
	var ended bool
	var announced string
	pinged(t, nil, func(f *badserver.Frames) error {
		for {
			got, err := f.ReadFrame()
			if err == nil {
				err = f.Answer(got)
			}
			if head, ok := got.(*http2.MetaHeadersFrame); ok && err == nil {
				ended, announced = head.StreamEnded(), ""
				for _, field := range head.RegularFields() {
					if field.Name == "trailer" {
						announced = field.Value
					}
				}
				err = f.Head(head.StreamID, true, ":status", "200")
			}
			if err != nil {
				return err
			}
		}
	}, func(t *testing.T, tr *transport.Transport) {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			req, err := http.NewRequestWithContext(t.Context(), method, "http://a.example/", http.NoBody)
			require.NoError(t, err)
			for range 2 {
				req.Trailer = http.Header{"Digest": {"1"}}
				resp, err := tr.RoundTrip(req)
				require.NoError(t, err)
				require.NoError(t, resp.Body.Close())
				synctest.Wait() // a lease may end after its Read
				assert.True(t, ended, method)
				assert.Empty(t, announced, method)
				assert.Zero(t, tr.Stats().Leased, method)
				assert.Equal(t, http.Header{"Digest": {"1"}}, req.Trailer)
				req.Body = nil
			}
		}
	})
}
