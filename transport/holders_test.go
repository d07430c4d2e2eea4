package transport_test

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/transport"
)

// Whoever holds the connections of a limit is named, the longest first: bodies that are open, with their URL but nothing that is
// secret in it, requests that wait for an answer, and how many more there are than the text has room for.
func TestHoldersAreNamed(t *testing.T) {
	const limit = 7
	arrived, over := make(chan struct{}, limit), make(chan struct{})
	handler := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hang" {
			arrived <- struct{}{}
			<-over
			return
		}
		sized(w, r)
	}
	ours1(t, handler, func(s *story) {
		answerIt := sync.OnceFunc(func() { over <- struct{}{} })
		defer answerIt()
		s.ours.AcquireTimeout, s.ours.RecordStacks, s.ours.MaxDrainBytes = 50*time.Millisecond, true, -1
		hung := make(chan error, 1)
		go func() {
			resp, err := s.rt.RoundTrip(s.request(http.MethodGet, "/hang", nil))
			if err == nil {
				err = resp.Body.Close()
			}
			hung <- err
		}()
		<-arrived
		var open []*http.Response
		for range limit - 1 {
			req := s.request(http.MethodGet, "/1000000?token=secret#fragment", nil)
			req.URL.User = url.UserPassword("secret", "secret")
			open = append(open, s.send(req))
		}
		_, err := s.rt.RoundTrip(s.request(http.MethodGet, "/10?token=secret", nil))
		var ae *transport.AcquireError
		require.ErrorAs(s, err, &ae)
		assert.Equal(s, limit, ae.Limit)
		assert.Equal(s, 50*time.Millisecond, ae.Waited)
		require.Len(s, ae.Holders, limit)
		assert.Equal(s, transport.Holder{State: "leased", Age: ae.Holders[0].Age, URL: s.server.URL + "/hang"}, ae.Holders[0])
		for i, h := range ae.Holders {
			assert.GreaterOrEqual(s, h.Age, ae.Waited)
			if i > 0 {
				assert.LessOrEqual(s, h.Age, ae.Holders[i-1].Age)
				assert.Equal(s, "leased", h.State)
				assert.Equal(s, s.server.URL+"/1000000", h.URL)
				assert.Contains(s, h.Stack, "holders_test.go:")
			}
		}
		assert.NotContains(s, err.Error(), "secret")
		assert.NotContains(s, err.Error(), "fragment")
		assert.Equal(s, 5, strings.Count(err.Error(), "; leased for "))
		assert.True(s, strings.HasSuffix(err.Error(), "; and 2 more"), err.Error())

		// A body that ends makes room, and the next one who waits has it.
		require.NoError(s, open[0].Body.Close())
		s.read(s.get("/10"))
		runtime.KeepAlive(open)
		for _, resp := range open[1:] {
			s.read(resp)
		}
		answerIt()
		require.NoError(s, <-hung)
	}, func(tr *http.Transport) { tr.MaxConnsPerHost = limit })
}

// Where nobody has a connection yet, as the server does not answer a dial, the error says that it is the dials which count.
func TestDialsThatHoldAreCounted(t *testing.T) {
	dialing := make(chan struct{})
	tr := &transport.Transport{
		MaxConnsPerHost: 1,
		AcquireTimeout:  50 * time.Millisecond,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			close(dialing)
			<-ctx.Done()
			return nil, ctx.Err()
		},
	}
	first := make(chan error, 1)
	go func() {
		req, _ := http.NewRequest(http.MethodGet, "http://dead.example/", nil)
		_, err := tr.RoundTrip(req)
		first <- err
	}()
	<-dialing
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://dead.example/", nil)
	require.NoError(t, err)
	_, err = tr.RoundTrip(req)
	var ae *transport.AcquireError
	require.ErrorAs(t, err, &ae)
	assert.Equal(t, 1, ae.Dialing)
	assert.Empty(t, ae.Holders)
	assert.EqualError(t, err, "transport: no connection to http://dead.example within 50ms: all 1 (MaxConnsPerHost) are taken, 1 of them by dials in progress")
	require.NoError(t, tr.Close())
	assert.ErrorIs(t, <-first, transport.ErrClosed)
}
