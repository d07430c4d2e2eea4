package auto_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/watertight-go/watertight/transport/auto"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// With this package imported, http.Get goes through ours, and what closes http.DefaultTransport's idle connections
// closes ours.
func TestHTTPGetGoesThroughOurs(t *testing.T) {
	require.NotNil(t, auto.Transport)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "hello")
	}))
	defer server.Close()
	before := auto.Transport.Stats()
	for range 2 {
		resp, err := http.Get(server.URL)
		require.NoError(t, err)
		b, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		assert.Equal(t, "hello", string(b))
	}
	st := auto.Transport.Stats()
	assert.EqualValues(t, 1, st.Dials-before.Dials)
	assert.EqualValues(t, 1, st.Reuses-before.Reuses)
	http.DefaultClient.CloseIdleConnections()
	assert.Zero(t, auto.Transport.Stats().Open)
}

// Ours has the settings of http.DefaultTransport.
func TestSettings(t *testing.T) {
	std := http.DefaultTransport.(*http.Transport)
	assert.Equal(t, std.MaxIdleConns, auto.Transport.MaxIdleConns)
	assert.Equal(t, std.IdleConnTimeout, auto.Transport.IdleConnTimeout)
	assert.Equal(t, std.TLSHandshakeTimeout, auto.Transport.TLSHandshakeTimeout)
}
