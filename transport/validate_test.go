package transport_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/transport"
)

// Thirty nanoseconds are a slip: Validate and the first request say which field, which value, and what was likely
// meant.
func TestValidateRefusesSlips(t *testing.T) {
	tr := &transport.Transport{IdleConnTimeout: 30, ResponseHeaderTimeout: 5, TLSHandshakeTimeout: time.Second}
	err := tr.Validate()
	require.Error(t, err)
	assert.Contains(t, err.Error(), "IdleConnTimeout is 30ns: did you mean 30*time.Second?")
	assert.Contains(t, err.Error(), "ResponseHeaderTimeout is 5ns: did you mean 5*time.Second?")
	assert.NotContains(t, err.Error(), "TLSHandshakeTimeout")
	_, rtErr := tr.RoundTrip(httptest.NewRequest(http.MethodGet, "http://a.example/", nil))
	assert.Equal(t, err.Error(), rtErr.Error())
	assert.NoError(t, transport.New().Validate())
	assert.NoError(t, new(transport.Transport).Validate())
}
