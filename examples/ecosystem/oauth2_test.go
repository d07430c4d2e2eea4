//go:build linux

package ecosystem_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/watertight-go/watertight/transport/leaktest"
)

// tokens serves tokens that are good for one request, as oauth2 counts one that expires within 10 seconds as expired, and says at
// /who which was sent.
func tokens(t *testing.T) (base string, issued *atomic.Int64) {
	issued = new(atomic.Int64)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"access_token": "token%d", "token_type": "Bearer", "expires_in": 5}`, issued.Add(1))
	})
	mux.HandleFunc("/who", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Header.Get("Authorization"))
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL, issued
}

// The client that oauth2 finds in the context fetches the tokens and carries the requests, over one connection.
func TestOAuth2(t *testing.T) {
	base, issued := tokens(t)
	tr := leaktest.NewTransport(t)
	config := clientcredentials.Config{ClientID: "id", ClientSecret: "secret", TokenURL: base + "/token"}
	client := config.Client(context.WithValue(t.Context(), oauth2.HTTPClient, &http.Client{Transport: tr}))
	for i := range 3 {
		resp, err := client.Get(base + "/who")
		require.NoError(t, err)
		assert.Equal(t, fmt.Sprint("Bearer token", i+1), readAll(t, resp))
	}
	assert.EqualValues(t, 3, issued.Load())
	assert.EqualValues(t, 1, tr.Stats().Dials)
	wantSockets(t, base, 1)
}

// An oauth2.Transport around ours, where the tokens come from elsewhere.
func TestOAuth2Transport(t *testing.T) {
	base, _ := tokens(t)
	tr := leaktest.NewTransport(t)
	source := oauth2.StaticTokenSource(&oauth2.Token{AccessToken: "mine"})
	client := &http.Client{Transport: &oauth2.Transport{Source: source, Base: tr}}
	resp, err := client.Get(base + "/who")
	require.NoError(t, err)
	assert.Equal(t, "Bearer mine", readAll(t, resp))
	resp, err = client.Get(base + "/token")
	require.NoError(t, err)
	assert.Equal(t, http.StatusMethodNotAllowed, resp.StatusCode)
	readAll(t, resp)
	assert.EqualValues(t, 1, tr.Stats().Dials)
	wantSockets(t, base, 1)
}
