package transport_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/transport"
)

// A guardedDialer dials nobody, for a reason of its own.
type guardedDialer struct{ why error }

func (d *guardedDialer) DialContext(context.Context, string, string) (net.Conn, error) {
	return nil, d.why
}

// What is set in the http.Transport between Install and the first request counts, as it does without ours: a program may set up
// http.DefaultTransport in main, after package auto. What is set in ours counts more, whichever was set first.
func TestInstallSeesLaterSettings(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(echo))
	defer server.Close()
	first, theirs, ours := &guardedDialer{errors.New("first")}, &guardedDialer{errors.New("theirs")}, &guardedDialer{errors.New("ours")}
	for name, tt := range map[string]struct {
		set  func(std *http.Transport, own *transport.Transport)
		want error
	}{
		"nothing":              {func(*http.Transport, *transport.Transport) {}, first.why},
		"a dialer of one type": {func(std *http.Transport, _ *transport.Transport) { std.DialContext = theirs.DialContext }, theirs.why},
		"ours":                 {func(_ *http.Transport, own *transport.Transport) { own.DialContext = ours.DialContext }, ours.why},
		"both, ours first": {func(std *http.Transport, own *transport.Transport) {
			own.DialContext = ours.DialContext
			std.DialContext = theirs.DialContext
		}, ours.why},
		"both, ours last": {func(std *http.Transport, own *transport.Transport) {
			std.DialContext = theirs.DialContext
			own.DialContext = ours.DialContext
		}, ours.why},
		"a configuration, no dialer": {func(std *http.Transport, _ *transport.Transport) {
			std.DialContext = nil
			std.TLSClientConfig = trust(server)
		}, nil},
		"a number that is a slip": {func(std *http.Transport, _ *transport.Transport) { std.IdleConnTimeout = 30 }, errors.New("transport: IdleConnTimeout is 30ns: did you mean 30*time.Second?")},
	} {
		t.Run(name, func(t *testing.T) {
			std := &http.Transport{DialContext: first.DialContext}
			own, err := transport.Install(std)
			require.NoError(t, err)
			defer own.Close()
			tt.set(std, own)
			resp, err := std.RoundTrip(httptest.NewRequest(http.MethodGet, server.URL, nil))
			if tt.want != nil {
				require.EqualError(t, err, tt.want.Error())
				return
			}
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
		})
	}
}

// A Clone of ours has the settings as they are by then.
func TestCloneOfInstalled(t *testing.T) {
	std := &http.Transport{MaxConnsPerHost: 1, MaxIdleConns: 2}
	own, err := transport.Install(std)
	require.NoError(t, err)
	std.MaxConnsPerHost, own.MaxIdleConns, own.LeakTimeout = 3, 4, time.Minute
	clone := own.Clone()
	assert.Equal(t, 3, clone.MaxConnsPerHost)
	assert.Equal(t, 4, clone.MaxIdleConns)
	assert.Equal(t, time.Minute, clone.LeakTimeout)
	std.MaxConnsPerHost = 5
	assert.Equal(t, 3, clone.Clone().MaxConnsPerHost, "which is installed nowhere")
}
