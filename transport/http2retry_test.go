package transport_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"

	"github.com/watertight-go/watertight/internal/badserver"
	"github.com/watertight-go/watertight/transport"
)

// speaks makes a script of a server that speaks HTTP/2.
func speaks(speak func(*badserver.Frames) error, settings ...http2.Setting) badserver.Script {
	return badserver.Script{badserver.HTTP2{Settings: settings, Speak: speak}}
}

// answers serves n requests, all there are if n is 0, and then does what last says.
func answers(n int, last func(f *badserver.Frames, stream uint32) error) func(*badserver.Frames) error {
	return func(f *badserver.Frames) error {
		for i := 0; ; i++ {
			stream, err := f.AwaitRequest()
			if err != nil {
				return err
			}
			if n > 0 && i == n {
				return last(f, stream)
			}
			if err := f.Head(stream, true, ":status", "200"); err != nil {
				return err
			}
		}
	}
}

// cleartext makes a transport of ours that speaks HTTP/2 without TLS.
func cleartext(t *testing.T) *transport.Transport {
	tr := &transport.Transport{Protocols: speaking((*http.Protocols).SetUnencryptedHTTP2), Logger: discardLogger}
	t.Cleanup(func() { assert.NoError(t, tr.Close()) })
	return tr
}

// What a server says that it did not process is sent again, whatever it is and wherever; what it may have processed only if it can be
// repeated and the connection had served before.
func TestHTTP2Retries(t *testing.T) {
	goAway := func(last uint32, code http2.ErrCode) func(*badserver.Frames, uint32) error {
		return func(f *badserver.Frames, _ uint32) error {
			if err := f.WriteGoAway(last, code, nil); err != nil {
				return err
			}
			return f.Rest()
		}
	}
	refuse := func(f *badserver.Frames, stream uint32) error {
		if err := f.WriteRSTStream(stream, http2.ErrCodeRefusedStream); err != nil {
			return err
		}
		return answers(0, nil)(f)
	}
	blame := func(f *badserver.Frames, stream uint32) error {
		return errors.Join(f.WriteRSTStream(stream, http2.ErrCodeProtocol), f.Rest())
	}
	reset := func(f *badserver.Frames, stream uint32) error {
		return f.Together(func() error {
			return errors.Join(f.WriteRSTStream(stream, http2.ErrCodeInternal), f.WriteGoAway(0, http2.ErrCodeNo, nil))
		})
	}
	leave := func(*badserver.Frames, uint32) error { return nil }
	for _, tt := range []struct {
		name   string
		served int // requests before
		last   func(*badserver.Frames, uint32) error
		method string
		again  bool
		dials  int
	}{
		{"GOAWAY that excludes it, GET", 1, goAway(1, http2.ErrCodeNo), http.MethodGet, true, 2},
		{"GOAWAY that excludes it, POST", 1, goAway(1, http2.ErrCodeNo), http.MethodPost, true, 2},
		{"GOAWAY on a new connection", 0, goAway(0, http2.ErrCodeNo), http.MethodPost, true, 2},
		{"GOAWAY with an error", 1, goAway(1, http2.ErrCodeEnhanceYourCalm), http.MethodPost, true, 2},
		{"GOAWAY with an error on a new connection", 0, goAway(0, http2.ErrCodeEnhanceYourCalm), http.MethodGet, false, 1},
		{"REFUSED_STREAM, POST", 1, refuse, http.MethodPost, true, 1},
		{"REFUSED_STREAM on a new connection", 0, refuse, http.MethodPost, true, 1},
		{"PROTOCOL_ERROR, GET", 1, blame, http.MethodGet, false, 1},
		{"GOAWAY that excludes what was reset", 1, reset, http.MethodPost, false, 1},
		{"the connection ends, GET", 1, leave, http.MethodGet, true, 2},
		{"the connection ends, POST", 1, leave, http.MethodPost, false, 1},
		{"a new connection ends, GET", 0, leave, http.MethodGet, false, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			first := answers(max(tt.served, 1), tt.last)
			if tt.served == 0 {
				first = func(f *badserver.Frames) error {
					stream, err := f.AwaitRequest()
					if err != nil {
						return err
					}
					return tt.last(f, stream)
				}
			}
			server := badserver.Start(t, speaks(first), speaks(answers(0, nil)))
			tr := cleartext(t)
			for range tt.served {
				require.NoError(t, mustGet(t, tr, server.URL).Body.Close())
			}
			body := &countedBody{Reader: strings.NewReader("hello")}
			req, err := http.NewRequestWithContext(t.Context(), tt.method, server.URL, nil)
			require.NoError(t, err)
			if tt.method == http.MethodPost {
				req.Body, req.ContentLength = body, 5
				req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("hello")), nil }
			}
			resp, err := tr.RoundTrip(req)
			if assert.Equal(t, tt.again, err == nil, "%v", err) && err == nil {
				assert.NoError(t, resp.Body.Close())
			}
			assert.Equal(t, tt.dials, server.Accepted())
			if tt.method == http.MethodPost {
				require.Eventually(t, func() bool { return body.closes.Load() == 1 }, patience, tick)
			}
			require.Eventually(t, func() bool { return tr.Stats().Leased == 0 }, patience, tick)
			require.NoError(t, mustGet(t, tr, server.URL).Body.Close())
		})
	}
}

// A server that says GOAWAY before it has read anything has its request on another connection. With net/http that is a matter of luck:
// a GOAWAY that comes before the request is begun is an error.
func TestHTTP2GoAwayAtOnce(t *testing.T) {
	leaves := speaks(func(f *badserver.Frames) error { return errors.Join(f.WriteGoAway(0, http2.ErrCodeNo, nil), f.Rest()) })
	for range 20 {
		server := badserver.Start(t, leaves, speaks(answers(0, nil)))
		tr := cleartext(t)
		require.NoError(t, mustGet(t, tr, server.URL).Body.Close())
		assert.Equal(t, 2, server.Accepted())
		require.NoError(t, tr.Close())
	}
}

// The first request of a connection is sent again as the others are, where that has answered others when it ends.
func TestHTTP2FirstRequestIsRetried(t *testing.T) {
	for method, again := range map[string]bool{http.MethodGet: true, http.MethodPost: false} {
		asked := make(chan struct{})
		server := badserver.Start(t, speaks(func(f *badserver.Frames) error {
			_, err := f.AwaitRequest()
			close(asked)
			if err == nil {
				var second uint32
				if second, err = f.AwaitRequest(); err == nil {
					err = f.Head(second, true, ":status", "200")
				}
			}
			return err
		}), speaks(answers(0, nil)))
		tr := cleartext(t)
		first := make(chan error, 1)
		go func() {
			_, _, err := do(t, tr, method, server.URL, "", func(*http.Request) {})
			first <- err
		}()
		<-asked
		require.NoError(t, mustGet(t, tr, server.URL).Body.Close())
		if err := <-first; again {
			assert.NoError(t, err, method)
		} else {
			assert.Error(t, err, method)
		}
	}
}

// A server that refuses again and again is asked seven times at most, ever more slowly; the context ends it.
func TestHTTP2RefusedForEver(t *testing.T) {
	var refused atomic.Int64
	pinged(t, nil, func(f *badserver.Frames) error {
		for {
			stream, err := f.AwaitRequest()
			if err != nil {
				return err
			}
			refused.Add(1)
			if err := f.WriteRSTStream(stream, http2.ErrCodeRefusedStream); err != nil {
				return err
			}
		}
	}, func(t *testing.T, tr *transport.Transport) {
		for timeout, times := range map[time.Duration]int64{1500 * time.Millisecond: 3, 0: 7} {
			refused.Store(0)
			client := &http.Client{Transport: tr, Timeout: timeout}
			_, err := client.Get("http://a.example/")
			require.ErrorContains(t, err, map[bool]string{true: "Client.Timeout", false: "REFUSED_STREAM"}[timeout > 0])
			assert.Equal(t, times, refused.Load())
		}
		assert.EqualValues(t, 1, tr.Stats().Dials)
	})
}

// A connection whose server says GOAWAY is closed at once if it is idle, and after its last stream otherwise; new requests go elsewhere.
func TestGoAwayRetires(t *testing.T) {
	away, goOn := make(chan struct{}), make(chan struct{})
	server := badserver.Start(t, speaks(func(f *badserver.Frames) error {
		stream, err := f.AwaitRequest()
		if err != nil {
			return err
		}
		if err := f.Head(stream, false, ":status", "200"); err != nil {
			return err
		}
		<-away
		if err := f.WriteGoAway(stream, http2.ErrCodeNo, nil); err != nil {
			return err
		}
		<-goOn
		if err := f.WriteData(stream, true, []byte("hello")); err != nil {
			return err
		}
		return f.Rest()
	}), speaks(func(f *badserver.Frames) error {
		stream, err := f.AwaitRequest()
		if err != nil {
			return err
		}
		if err := f.Head(stream, true, ":status", "200"); err != nil {
			return err
		}
		if err := f.WriteGoAway(stream, http2.ErrCodeNo, nil); err != nil {
			return err
		}
		return f.Rest()
	}))
	tr := cleartext(t)
	slow := mustGet(t, tr, server.URL)
	close(away)
	require.Eventually(t, func() bool {
		resp := mustGet(t, tr, server.URL)
		return resp.Body.Close() == nil && server.Accepted() >= 2
	}, patience, tick)
	require.Eventually(t, func() bool { return tr.Stats().Open == 1 }, patience, tick, "idle: closed at once")
	close(goOn)
	b, err := io.ReadAll(slow.Body)
	require.NoError(t, err)
	assert.Equal(t, "hello", string(b))
	require.Eventually(t, func() bool { return tr.Stats().Open == 0 }, patience, tick)
	st := tr.Stats()
	assert.Equal(t, st.Dials, st.Closes[transport.ReasonNoKeepAlive])
}

// A server that takes no request from the beginning, and leaves, makes nobody fail who finds another: also when it left before anything
// could be sent.
func TestGoAwayAtOnce(t *testing.T) {
	for _, late := range []bool{false, true} {
		goAway := speaks(func(f *badserver.Frames) error { return f.WriteGoAway(0, http2.ErrCodeNo, nil) })
		server := badserver.Start(t, goAway, speaks(answers(0, nil)))
		tr := cleartext(t)
		if late {
			tr.OpenFirstWhenClosed()
		}
		require.NoError(t, mustGet(t, tr, server.URL).Body.Close())
		assert.Equal(t, 2, server.Accepted())
	}
}
