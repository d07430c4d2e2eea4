package transport_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/internal/badserver"
	"github.com/watertight-go/watertight/transport"
)

// againstBad tells a story of a misbehaving server over http and https, on net/http and on ours.
func againstBad(t *testing.T, tell func(*testing.T, roundTripper, *badserver.Server), scripts ...badserver.Script) {
	for scheme, start := range map[string]func(badserver.TB, ...badserver.Script) *badserver.Server{
		"http": badserver.Start, "https": badserver.StartTLS,
	} {
		t.Run(scheme+"/std", func(t *testing.T) {
			server := start(t, scripts...)
			rt := &http.Transport{ExpectContinueTimeout: time.Hour, TLSClientConfig: server.TLS}
			defer rt.CloseIdleConnections()
			tell(t, rt, server)
		})
		t.Run(scheme+"/ours", func(t *testing.T) {
			server := start(t, scripts...)
			rt := &transport.Transport{ExpectContinueTimeout: time.Hour, TLSClientConfig: server.TLS}
			defer func() { assert.NoError(t, rt.Close()) }()
			tell(t, rt, server)
			assert.Eventually(t, func() bool { return rt.Stats().Leased == 0 }, 10*time.Second, time.Millisecond, "leased")
		})
	}
}

// do sends a request and returns its status, its body, and the first error.
func do(t *testing.T, rt http.RoundTripper, method, url, body string, change func(*http.Request)) (status int, got string, err error) {
	t.Helper()
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, url, r)
	require.NoError(t, err)
	if change != nil {
		change(req)
	}
	resp, err := rt.RoundTrip(req)
	if err != nil {
		return 0, "", err
	}
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, resp.Body.Close())
	return resp.StatusCode, string(b), err
}

// A connection that served before and ends without an answer: the request is sent again where that cannot do anything
// twice, and its body with it.
func TestRetryOnAReusedConnection(t *testing.T) {
	key := func(r *http.Request) { r.Header["Idempotency-Key"] = nil }
	for name, tt := range map[string]struct {
		method, body string
		change       func(*http.Request)
		retried      bool
	}{
		"GET":                    {http.MethodGet, "", nil, true},
		"HEAD":                   {http.MethodHead, "", nil, true},
		"POST":                   {http.MethodPost, "hello", nil, false},
		"PUT":                    {http.MethodPut, "hello", nil, false},
		"POST, idempotency key":  {http.MethodPost, "hello", key, true},
		"the same, no GetBody":   {http.MethodPost, "hello", func(r *http.Request) { key(r); r.GetBody = nil }, false},
		"GET with a body":        {http.MethodGet, "hello", nil, true},
		"POST without a body":    {http.MethodPost, "", nil, false},
		"DELETE without a body":  {http.MethodDelete, "", nil, false},
		"OPTIONS without a body": {http.MethodOptions, "", nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			againstBad(t, func(t *testing.T, rt roundTripper, server *badserver.Server) {
				_, got, err := do(t, rt, http.MethodGet, server.URL, "", nil)
				require.NoError(t, err)
				require.Equal(t, "ok", got)
				_, _, err = do(t, rt, tt.method, server.URL, tt.body, tt.change)
				if tt.retried {
					assert.NoError(t, err)
					assert.Equal(t, 2, server.Accepted())
				} else {
					assert.Error(t, err)
					assert.Equal(t, 1, server.Accepted())
				}
			},
				badserver.Script{badserver.ReadRequest{}, badserver.Write(okResponse), badserver.ReadRequest{}, badserver.Close{}},
				badserver.Script{badserver.ReadRequest{}, badserver.Write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), badserver.Stall{}},
			)
		})
	}
}

// A request that is cancelled by Request.Cancel just before it is sent again ends there: it is neither sent nor tried for ever.
func TestCancelledBeforeTheRetry(t *testing.T) {
	againstBad(t, func(t *testing.T, rt roundTripper, server *badserver.Server) {
		_, _, err := do(t, rt, http.MethodGet, server.URL, "", nil)
		require.NoError(t, err)
		cancel, bodies := make(chan struct{}), 0
		_, _, err = do(t, rt, http.MethodGet, server.URL, "hello", func(r *http.Request) {
			r.Cancel = cancel
			r.GetBody = func() (io.ReadCloser, error) {
				if bodies++; bodies > 1 {
					return nil, errors.New("sent again and again")
				}
				close(cancel)
				return io.NopCloser(strings.NewReader("hello")), nil
			}
		})
		assert.ErrorContains(t, err, "request canceled")
		assert.Equal(t, 1, bodies)
	},
		badserver.Script{badserver.ReadRequest{}, badserver.Write(okResponse), badserver.ReadRequest{}, badserver.Close{}},
		badserver.Script{badserver.ReadRequest{}, badserver.Stall{}},
	)
}

// Neither a fresh connection nor one that began to answer is a reason to send again.
func TestNoRetry(t *testing.T) {
	for name, raw := range map[string]string{"fresh": "", "answer begun": okResponse + "H"} {
		t.Run(name, func(t *testing.T) {
			script := badserver.Script{badserver.ReadRequest{}, badserver.Close{}}
			if raw != "" {
				script = badserver.Script{badserver.ReadRequest{}, badserver.Write(okResponse), badserver.ReadRequest{}, badserver.Write("H"), badserver.Close{}}
			}
			againstBad(t, func(t *testing.T, rt roundTripper, server *badserver.Server) {
				if raw != "" {
					_, _, err := do(t, rt, http.MethodGet, server.URL, "", nil)
					require.NoError(t, err)
				}
				_, _, err := do(t, rt, http.MethodGet, server.URL, "", nil)
				assert.Error(t, err)
				assert.Equal(t, 1, server.Accepted())
			}, script)
		})
	}
}

// A body that waits for "100 Continue" is sent on it, and after a final answer only where the connection goes on.
func TestExpectContinue(t *testing.T) {
	expect := func(r *http.Request) { r.Header.Set("Expect", "100-continue") }
	t.Run("continue", func(t *testing.T) {
		againstBad(t, func(t *testing.T, rt roundTripper, server *badserver.Server) {
			_, got, err := do(t, rt, http.MethodPost, server.URL, "hello", expect)
			require.NoError(t, err)
			assert.Equal(t, "ok", got)
		}, badserver.Script{
			badserver.ReadHead{}, badserver.Write("HTTP/1.1 100 Continue\r\n\r\n"),
			badserver.Read(5), badserver.Write(okResponse), badserver.Stall{},
		})
	})
	t.Run("refused", func(t *testing.T) {
		againstBad(t, func(t *testing.T, rt roundTripper, server *badserver.Server) {
			body := &countedBody{Reader: strings.NewReader("hello")}
			status, _, err := do(t, rt, http.MethodPost, server.URL, "hello", func(r *http.Request) {
				expect(r)
				r.Body = body
			})
			require.NoError(t, err)
			assert.Equal(t, http.StatusUnauthorized, status)
			require.Eventually(t, func() bool { return body.closes.Load() == 1 }, 10*time.Second, time.Millisecond)
			assert.Zero(t, body.reads.Load())
		}, badserver.Script{badserver.ReadHead{}, badserver.Write("HTTP/1.1 401 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"), badserver.Stall{}})
	})
	t.Run("answered, and the connection goes on", func(t *testing.T) {
		againstBad(t, func(t *testing.T, rt roundTripper, server *badserver.Server) {
			for range 2 {
				_, got, err := do(t, rt, http.MethodPost, server.URL, "hello", expect)
				require.NoError(t, err)
				assert.Equal(t, "ok", got)
			}
			assert.Equal(t, 1, server.Accepted())
		}, badserver.Script{badserver.Repeat{Script: badserver.Script{badserver.ReadHead{}, badserver.Write(okResponse), badserver.Read(5)}}})
	})
}

// Informational responses are passed over, and their number is bounded by their size; 101 hands the connection over,
// beginning with what had arrived.
func TestInformationalResponses(t *testing.T) {
	againstBad(t, func(t *testing.T, rt roundTripper, server *badserver.Server) {
		_, got, err := do(t, rt, http.MethodGet, server.URL, "", nil)
		require.NoError(t, err)
		assert.Equal(t, "ok", got)
	}, badserver.Script{badserver.ReadRequest{}, badserver.Write("HTTP/1.1 102 Wait\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\n" + okResponse), badserver.Stall{}})

	againstBad(t, func(t *testing.T, rt roundTripper, server *badserver.Server) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
		require.NoError(t, err)
		req.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"echo"}}
		resp, err := rt.RoundTrip(req)
		require.NoError(t, err)
		require.Equal(t, http.StatusSwitchingProtocols, resp.StatusCode)
		rwc, ok := resp.Body.(io.ReadWriteCloser)
		require.True(t, ok)
		got := make([]byte, 5)
		_, err = io.ReadFull(rwc, got)
		require.NoError(t, err)
		assert.Equal(t, "early", string(got))
		_, err = io.WriteString(rwc, "ping")
		require.NoError(t, err)
		_, err = io.ReadFull(rwc, got[:4])
		require.NoError(t, err)
		assert.Equal(t, "pong", string(got[:4]))
		require.NoError(t, rwc.Close())
	}, badserver.Script{
		badserver.ReadRequest{}, badserver.Write("HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nearly"),
		badserver.Read(4), badserver.Write("pong"), badserver.Stall{},
	})
}

// ResponseHeaderTimeout is a net.Error that says so, and costs the connection.
func TestResponseHeaderTimeout(t *testing.T) {
	server := badserver.Start(t, badserver.Script{badserver.ReadRequest{}, badserver.Stall{}})
	tr := &transport.Transport{ResponseHeaderTimeout: 20 * time.Millisecond}
	defer tr.Close()
	for _, body := range []string{"", strings.Repeat("x", 100000)} {
		_, _, err := do(t, tr, http.MethodPost, server.URL, body, nil)
		require.Error(t, err)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.ErrorContains(t, err, "ResponseHeaderTimeout")
		assert.Zero(t, tr.Stats().Leased)
	}
}

// Shutdown waits for the open bodies, and refuses what comes after it.
func TestShutdownWaitsForBodies(t *testing.T) {
	ours(t, sized, func(s *story) {
		resp := s.get("/1000000")
		ctx, cancel := context.WithTimeout(s.Context(), 20*time.Millisecond)
		defer cancel()
		assert.ErrorIs(s, s.ours.Shutdown(ctx), context.DeadlineExceeded)
		_, err := s.rt.RoundTrip(s.request(http.MethodGet, "/1", nil))
		assert.ErrorIs(s, err, transport.ErrClosed)
		assert.Len(s, s.read(resp), 1000000)
		assert.NoError(s, s.ours.Shutdown(s.Context()))
	})
}
