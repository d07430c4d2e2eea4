//go:build linux

package ecosystem_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/go-resty/resty/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/transport"
	"github.com/watertight-go/watertight/transport/leaktest"
)

// fickle refuses every request for the first time, with a body that nobody wants, and echoes the second.
func fickle(t *testing.T, refusal int) (base string) {
	var count atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if count.Add(1)%2 == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write(make([]byte, refusal))
			return
		}
		w.Header().Set("Content-Type", "application/json")
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, `{"method": %q, "body": %q}`, r.Method, body)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

type echoed struct{ Method, Body string }

// resty has ours set, retries, and decodes. What it sets on an *http.Transport only (SetProxy, SetTLSClientConfig, SetRootCertificate)
// is to be set on ours instead.
func TestResty(t *testing.T) {
	base := fickle(t, 50_000)
	tr := leaktest.NewTransport(t)
	client := resty.New().SetTransport(tr).SetBaseURL(base).SetRetryCount(1).SetRetryWaitTime(1).SetRetryMaxWaitTime(1).
		AddRetryCondition(func(r *resty.Response, err error) bool { return err != nil || r.StatusCode() >= 500 })
	for i := range 3 {
		var got echoed
		resp, err := client.R().SetBody(fmt.Sprint("body ", i)).SetResult(&got).EnableTrace().Post("/")
		require.NoError(t, err)
		assert.Equal(t, 2, resp.Request.Attempt)
		assert.Equal(t, echoed{"POST", fmt.Sprint("body ", i)}, got)
		assert.True(t, resp.Request.TraceInfo().IsConnReused)
	}
	assert.EqualValues(t, 1, tr.Stats().Dials)
	wantSockets(t, base, 1)

	_, err := client.Transport()
	require.Error(t, err, "it is not an *http.Transport, and resty says so")
}

// Where the rest of a program wants resty to have an *http.Transport, Install makes one ours. Its fields are read then: what SetProxy and
// the like change afterwards has no effect.
func TestRestyInstalled(t *testing.T) {
	base := fickle(t, 10)
	standard := &http.Transport{Proxy: http.ProxyFromEnvironment}
	tr, err := transport.Install(standard)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, tr.Close()) })
	client := resty.New().SetTransport(standard).SetBaseURL(base)
	got, err := client.Transport()
	require.NoError(t, err)
	assert.Same(t, standard, got)
	for range 2 {
		_, err = client.R().Get("/")
		require.NoError(t, err)
	}
	assert.EqualValues(t, 1, tr.Stats().Dials)
	wantSockets(t, base, 1)
	client.GetClient().CloseIdleConnections()
	wantSockets(t, base, 0)
	leaktest.VerifyNone(t, tr)
}

// With SetDoNotParseResponse the body is the caller's to close; one that is dropped is found.
func TestRestyRawBody(t *testing.T) {
	server := httptest.NewServer(text(20 << 20))
	t.Cleanup(server.Close)
	tr, leaks := dropping(t)
	client := resty.New().SetTransport(tr)
	func() {
		resp, err := client.R().SetDoNotParseResponse(true).Get(server.URL)
		require.NoError(t, err)
		_, err = resp.RawBody().Read(make([]byte, 10))
		require.NoError(t, err)
	}()
	wantDropped(t, leaks)
	wantSockets(t, server.URL, 0)
}
