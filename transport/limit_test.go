package transport_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptrace"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/transport"
)

// Requests beyond MaxConnsPerHost wait, and all are served in the end.
func TestMaxConnsPerHost(t *testing.T) {
	everywhere(t, sized, func(s *story) {
		done := make(chan error)
		for range 20 {
			go func() {
				resp, err := (&http.Client{Transport: s.rt}).Get(s.server.URL + "/20000")
				if err == nil {
					err = resp.Body.Close()
				}
				done <- err
			}()
		}
		for range 20 {
			assert.NoError(s, <-done)
		}
		if s.ours != nil { // net/http closes what it does not read
			assert.LessOrEqual(s, s.dials.Load(), int64(4))
		}
	}, func(t *http.Transport) { t.MaxConnsPerHost = 2 })
}

// A wait that AcquireTimeout ends says who holds the connections: for how long, for which URL, without its query, and
// from which line.
func TestAcquireTimeoutNamesTheHolders(t *testing.T) {
	t.Parallel()
	ours1(t, sized, func(s *story) {
		s.ours.AcquireTimeout, s.ours.RecordStacks = 500*time.Millisecond, true
		resp := s.get("/1000000?token=secret")
		_, err := s.rt.RoundTrip(s.request(http.MethodGet, "/", nil))
		var ae *transport.AcquireError
		require.ErrorAs(s, err, &ae)
		assert.ErrorIs(s, err, context.DeadlineExceeded)
		var ne net.Error
		require.ErrorAs(s, err, &ne)
		assert.True(s, ne.Timeout())
		assert.Equal(s, s.server.URL, ae.Origin)
		require.Len(s, ae.Holders, 1)
		assert.Equal(s, "leased", ae.Holders[0].State)
		assert.Equal(s, s.server.URL+"/1000000", ae.Holders[0].URL)
		assert.Contains(s, ae.Holders[0].Stack, "TestAcquireTimeoutNamesTheHolders")
		assert.Contains(s, err.Error(), "all 1 (MaxConnsPerHost) are taken; leased for")
		assert.NotContains(s, err.Error(), "secret")
		runtime.KeepAlive(resp)
		require.NoError(s, resp.Body.Close())
	}, func(t *http.Transport) { t.MaxConnsPerHost = 1 })
}

// Stats tell of each origin what there is now.
func TestStatsByOrigin(t *testing.T) {
	ours(t, sized, func(s *story) {
		resp := s.get("/1000000")
		st := s.ours.Stats()
		want := transport.Counts{Open: 1, Leased: 1, Bodies: 1, Requests: 1, Dials: 1, Peak: 1}
		assert.Equal(s, transport.Stats{Counts: want, Ages: st.Ages, Origins: map[string]transport.Counts{s.server.URL: want}}, st)
		assert.Zero(s, st.Ages.Count)
		assert.Equal(s, 1, st.Bodies)
		require.Len(s, s.ours.OpenBodies(), 1)
		assert.True(s, strings.HasSuffix(s.ours.OpenBodies()[0].URL, "/1000000"))
		assert.NoError(s, resp.Body.Close())
		s.eventually("nothing is left", func() bool {
			st := s.ours.Stats()
			var closes int64
			for _, n := range st.Closes {
				closes += n
			}
			return st.Bodies == 0 && st.Leased == 0 && st.Dials-closes == int64(st.Open)
		})
	})
}

// AcquireTimeout is for those who queue: a dial of one's own has other bounds.
func TestAcquireTimeoutLeavesDialsAlone(t *testing.T) {
	ours(t, echo, func(s *story) {
		s.ours.AcquireTimeout = time.Millisecond
		s.ours.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			time.Sleep(20 * time.Millisecond) // longer than AcquireTimeout
			return s.dial(ctx, network, addr)
		}
		s.read(s.get("/"))
	}, func(t *http.Transport) { t.MaxConnsPerHost = 1 })
}

// PutIdleConn is called for connections that might have been kept, not where none is.
func TestNoPutIdleConnWithoutKeepAlives(t *testing.T) {
	everywhere(t, echo, func(s *story) {
		called := false
		ctx := httptrace.WithClientTrace(s.Context(), &httptrace.ClientTrace{PutIdleConn: func(error) { called = true }})
		s.read(s.send(s.request(http.MethodGet, "/", nil).WithContext(ctx)))
		s.rt.CloseIdleConnections()
		s.server.Close() // waits for the connection
		assert.False(s, called)
	}, func(t *http.Transport) { t.DisableKeepAlives = true })
}

// A connection that one request hands to another that waits was not idle.
func TestHandedOverIsNotIdle(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	handler := func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/first" {
			entered <- struct{}{}
			<-release
		}
	}
	ours1(t, handler, func(s *story) {
		first, second := make(chan error, 1), make(chan error, 1)
		go func() {
			resp, err := s.rt.RoundTrip(s.request(http.MethodGet, "/first", nil))
			if err == nil {
				err = resp.Body.Close()
			}
			first <- err
		}()
		<-entered
		var got []httptrace.GotConnInfo
		ctx := httptrace.WithClientTrace(s.Context(), &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) { got = append(got, info) }})
		go func() {
			resp, err := s.rt.RoundTrip(s.request(http.MethodGet, "/", nil).WithContext(ctx))
			if err == nil {
				err = resp.Body.Close()
			}
			second <- err
		}()
		s.eventually("waiting", func() bool { return s.ours.Stats().Waiting == 1 })
		release <- struct{}{}
		require.NoError(s, <-first)
		require.NoError(s, <-second)
		s.read(s.send(s.request(http.MethodGet, "/", nil).WithContext(ctx)))
		require.Len(s, got, 2)
		assert.True(s, got[0].Reused)
		assert.False(s, got[0].WasIdle)
		assert.True(s, got[1].WasIdle)
		assert.Positive(s, got[1].IdleTime)
	}, func(t *http.Transport) { t.MaxConnsPerHost = 1 })
}
