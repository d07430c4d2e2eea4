package transport_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"

	"github.com/watertight-go/watertight/internal/badserver"
	"github.com/watertight-go/watertight/transport"
)

// Of two bounds on idle connections the one is named that closed them: to raise the other would change nothing.
func TestDiagnoseTheLowerBound(t *testing.T) {
	ours1(t, sized, func(s *story) {
		s.atOnce(20, 5, "/100000")
		s.wantFinding("MaxIdleConns", "MaxIdleConns is 3 for all hosts together, and up to 20 requests ran at once")
	}, func(t *http.Transport) { t.MaxIdleConns, t.MaxIdleConnsPerHost = 3, 10 })
	ours1(t, sized, func(s *story) {
		s.atOnce(20, 5, "/100000")
		s.wantFinding("MaxIdleConnsPerHost", "MaxIdleConnsPerHost is 3 and up to 20 requests ran at once")
	}, func(t *http.Transport) { t.MaxIdleConns, t.MaxIdleConnsPerHost = 10, 3 })
}

// Where MaxConnsPerHost cannot have been reached, StrictMaxConcurrentRequests has requests wait for a stream.
func TestDiagnoseWaitsForStreams(t *testing.T) {
	const forStream = "for a stream: with StrictMaxConcurrentRequests no further connection is dialed"
	for limit, want := range map[int][2]string{
		0:  {"HTTP2", forStream},
		10: {"HTTP2", forStream},
		1:  {"MaxConnsPerHost", "MaxConnsPerHost is 1, and with StrictMaxConcurrentRequests no second connection of HTTP/2 is dialed"},
	} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			s := &story{T: t, server: httptest.NewUnstartedServer(http.HandlerFunc(sized)), http2: true}
			s.server.EnableHTTP2 = true
			s.server.Config.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: 1}
			s.server.StartTLS()
			t.Cleanup(s.server.Close)
			s.connect(false, strictly)
			s.ours.MaxConnsPerHost = limit
			s.ours.AcquireTimeout = 10 * time.Millisecond
			resp := s.get("/1000000")
			_, err := s.rt.RoundTrip(s.request(http.MethodGet, "/", nil))
			require.ErrorIs(s, err, context.DeadlineExceeded)
			require.NoError(s, resp.Body.Close())
			s.wantFinding(want[0], want[1], "AcquireTimeout (10ms) ended 1 wait")
		})
	}
}

// diagnosed returns what is found after 25 requests.
func diagnosed(t *testing.T, tr *transport.Transport, url string) []transport.Finding {
	for range 25 {
		require.NoError(t, mustGet(t, tr, url).Body.Close())
	}
	return tr.Diagnose()
}

// A server of HTTP/2 says GOAWAY.
func TestDiagnoseGoAway(t *testing.T) {
	server := badserver.Start(t, speaks(func(f *badserver.Frames) error {
		stream, err := f.AwaitRequest()
		if err != nil {
			return err
		}
		return errors.Join(f.Head(stream, true, ":status", "200"), f.WriteGoAway(stream, http2.ErrCodeNo, nil), f.Rest())
	}))
	found := diagnosed(t, cleartext(t), server.URL) // a request that meets the GOAWAY is sent again, which may be a finding as well
	require.NotEmpty(t, found)
	assert.Contains(t, found[0].Text, "GOAWAY")
}

// New connections end under their requests: no timeout for idle ones is to blame.
func TestDiagnoseRetriesOnNewConns(t *testing.T) {
	ends := badserver.Script{badserver.ReadRequest{}, badserver.Close{}}
	serves := badserver.Script{badserver.ReadRequest{}, badserver.Write("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"), badserver.Close{}}
	var scripts []badserver.Script
	for range 25 {
		scripts = append(scripts, ends, serves)
	}
	server := badserver.Start(t, scripts...)
	tr := &transport.Transport{RetryOnNewConns: true}
	defer tr.Close()
	found := diagnosed(t, tr, server.URL)
	require.Len(t, found, 2)
	assert.Contains(t, found[1].Text, "25 of 50 requests were sent again, as their connection ended under them: new ones among them, since only 0 had one that had served before")
	assert.Empty(t, found[1].Field)
}

// A server of HTTP/2 answers one request on each connection and refuses the next. No idle connection ends.
func TestDiagnoseRefusals(t *testing.T) {
	const served = 1 // the stream of the first
	server := badserver.Start(t, speaks(answers(1, func(f *badserver.Frames, _ uint32) error {
		return errors.Join(f.WriteGoAway(served, http2.ErrCodeNo, nil), f.Rest())
	})))
	found := diagnosed(t, cleartext(t), server.URL)
	require.Len(t, found, 2)
	assert.Contains(t, found[1].Text, "24 of 49 requests were sent again, but only 0 connections ended under requests: the server refuses some, by GOAWAY")
	assert.Empty(t, found[1].Field)
}

// New connections of HTTP/2 refuse their requests: they do not end under them.
func TestDiagnoseRefusalsOnNewConns(t *testing.T) {
	for name, refuse := range map[string]func(*badserver.Frames, uint32) error{
		"REFUSED_STREAM": func(f *badserver.Frames, stream uint32) error {
			return f.WriteRSTStream(stream, http2.ErrCodeRefusedStream)
		},
		"GOAWAY": func(f *badserver.Frames, _ uint32) error { return f.WriteGoAway(0, http2.ErrCodeNo, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			var conns atomic.Int64
			server := badserver.Start(t, speaks(func(f *badserver.Frames) error {
				stream, err := f.AwaitRequest()
				if err != nil {
					return err
				}
				if conns.Add(1)%2 != 0 {
					return errors.Join(refuse(f, stream), f.Rest())
				}
				return errors.Join(f.Head(stream, true, ":status", "200"), f.Rest())
			}))
			tr := cleartext(t)
			tr.DisableKeepAlives = true
			found := diagnosed(t, tr, server.URL)
			require.Len(t, found, 2)
			assert.Contains(t, found[1].Text, "25 of 50 requests were sent again, but only 0 connections ended under requests: the server refuses some, by GOAWAY")
			assert.Empty(t, found[1].Field)
		})
	}
}

// Connections of HTTP/2 fall silent while they are idle, as behind a firewall that forgets them: the server refuses nothing.
func TestDiagnoseSilence(t *testing.T) {
	pinged(t, &http.HTTP2Config{SendPingTimeout: time.Second, PingTimeout: time.Second}, answers(1, func(f *badserver.Frames, _ uint32) error {
		return f.Swallow()
	}), func(t *testing.T, tr *transport.Transport) {
		found := diagnosed(t, tr, "http://a.example/")
		require.Len(t, found, 2)
		assert.Contains(t, found[1].Text, "24 of 49 requests were sent again, as their connection ended under them: let IdleConnTimeout (1m30s) be shorter")
		assert.Equal(t, "IdleConnTimeout", found[1].Field)
	})
}
