package transport_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
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

// So are those of HTTP/2: a ping every thirty nanoseconds keeps a processor busy, and no write ends within ten.
func TestValidateRefusesSlipsOfHTTP2(t *testing.T) {
	tr := &transport.Transport{HTTP2: &http.HTTP2Config{SendPingTimeout: 30, PingTimeout: 15, WriteByteTimeout: 10}}
	err := tr.Validate()
	require.Error(t, err)
	assert.Contains(t, err.Error(), "HTTP2.SendPingTimeout is 30ns: did you mean 30*time.Second?")
	assert.Contains(t, err.Error(), "HTTP2.PingTimeout is 15ns: did you mean 15*time.Second?")
	assert.Contains(t, err.Error(), "HTTP2.WriteByteTimeout is 10ns: did you mean 10*time.Second?")
	tr.HTTP2 = &http.HTTP2Config{SendPingTimeout: -1, PingTimeout: time.Second}
	assert.NoError(t, tr.Validate())
}

// A Guard would close each body at once.
func TestGuardRefusesASlip(t *testing.T) {
	sent := false
	g := &transport.Guard{LeakTimeout: 30, Base: roundTripFunc(func(*http.Request) (*http.Response, error) {
		sent = true
		return nil, errors.New("sent")
	})}
	body := &countedBody{Reader: strings.NewReader("body")}
	_, err := g.RoundTrip(httptest.NewRequest(http.MethodPost, "http://a.example/", body))
	assert.EqualError(t, err, "transport: Guard.LeakTimeout is 30ns: did you mean 30*time.Second?")
	assert.False(t, sent)
	assert.EqualValues(t, 1, body.closes.Load(), "a RoundTripper closes the request's body, on errors too")
}
