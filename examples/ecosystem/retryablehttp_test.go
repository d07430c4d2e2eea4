//go:build linux

package ecosystem_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/hashicorp/go-retryablehttp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/pool"
	"github.com/watertight-go/watertight/transport/leaktest"
)

// go-retryablehttp sends again over the same connection: it reads 4 KiB of what it throws away, and closes. Of more ours drains the rest in
// the background, and the next attempt may come before that is done.
func TestRetryableHTTP(t *testing.T) {
	base := fickle(t, 3000)
	tr := leaktest.NewTransport(t)
	client := retryablehttp.NewClient()
	client.HTTPClient.Transport = tr
	client.Logger, client.RetryWaitMin, client.RetryWaitMax = nil, 1, 1
	for range 3 {
		resp, err := client.Post(base, "text/plain", []byte("body"))
		require.NoError(t, err)
		assert.JSONEq(t, `{"method": "POST", "body": "body"}`, readAll(t, resp))
	}
	s := tr.Stats()
	assert.EqualValues(t, 1, s.Dials, "%+v", s)
	wantSockets(t, base, 1)
}

// When it gives up it closes all idle connections, those of other servers too: to ours that is an order like any other.
func TestRetryableHTTPGivesUp(t *testing.T) {
	down := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }))
	t.Cleanup(down.Close)
	other := httptest.NewServer(text(10))
	t.Cleanup(other.Close)
	tr := leaktest.NewTransport(t)
	client := retryablehttp.NewClient()
	client.HTTPClient.Transport = tr
	client.Logger, client.RetryWaitMin, client.RetryWaitMax, client.RetryMax = nil, 1, 1, 2
	resp, err := client.Get(other.URL)
	require.NoError(t, err)
	readAll(t, resp)
	wantSockets(t, other.URL, 1)

	_, err = client.Get(down.URL)
	require.ErrorContains(t, err, "giving up after 3 attempt(s)")
	s := tr.Stats()
	assert.EqualValues(t, 2, s.Dials)
	assert.Equal(t, int64(2), s.Closes[pool.IdleClosed])
	wantSockets(t, other.URL, 0)
	wantSockets(t, down.URL, 0)
}
