package transport_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/transport"
)

// A stuckBody is like the body of a server's request: Close waits for the Read in progress.
type stuckBody struct {
	mu    sync.Mutex
	freed chan struct{}
}

func (b *stuckBody) Read([]byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	<-b.freed
	return 0, io.EOF
}

func (b *stuckBody) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return nil
}

// A body whose Read blocks, and whose Close waits for the Read, holds up neither RoundTrip beyond its context nor an early
// response.
func TestABodyThatIsStuck(t *testing.T) {
	t.Parallel()
	handler := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/wait" {
			_, _ = io.Copy(io.Discard, r.Body)
			return
		}
		w.Header().Set("Connection", "close") // or the server would read the body first
		w.WriteHeader(http.StatusForbidden)
	}
	ours(t, handler, func(s *story) {
		for path, want := range map[string]error{"/wait": context.DeadlineExceeded, "/forbidden": nil} {
			body := &stuckBody{freed: make(chan struct{})}
			ctx, cancel := context.WithCancel(s.Context())
			if want != nil {
				ctx, cancel = context.WithTimeout(s.Context(), 100*time.Millisecond)
			}
			returned := make(chan error)
			go func() {
				resp, err := s.rt.RoundTrip(s.request(http.MethodPut, path, body).WithContext(ctx))
				if err == nil {
					err = resp.Body.Close()
				}
				returned <- err
			}()
			select {
			case err := <-returned:
				assert.ErrorIs(s, err, want)
				close(body.freed)
			case <-time.After(10 * time.Second):
				s.Error("RoundTrip waits for the body")
				close(body.freed)
				<-returned
			}
			cancel()
		}
	})
}

// An emptyBody reads nothing, and no end, for ever, and does not care for Close.
type emptyBody struct{ reads atomic.Int64 }

func (b *emptyBody) Read([]byte) (int, error) {
	b.reads.Add(1)
	return 0, nil
}

func (b *emptyBody) Close() error { return nil }

// A body whose Read brings nothing, for ever, is not read for longer than its exchange lasts.
func TestABodyThatBringsNothing(t *testing.T) {
	handler := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/wait" {
			_, _ = io.Copy(io.Discard, r.Body)
		}
		if r.ProtoMajor == 1 {
			w.Header().Set("Connection", "close") // or the server would read the body first
		}
	}
	ours(t, handler, func(s *story) {
		for _, path := range []string{"/wait", "/early"} {
			for _, length := range []int64{-1, 5} {
				body := new(emptyBody)
				req := s.request(http.MethodPut, path, body)
				req.ContentLength = length
				ctx, cancel := context.WithCancel(s.Context())
				if path == "/wait" {
					ctx, cancel = context.WithTimeout(s.Context(), 50*time.Millisecond)
				}
				resp, err := s.rt.RoundTrip(req.WithContext(ctx))
				if path == "/wait" {
					assert.ErrorIs(s, err, context.DeadlineExceeded)
				} else {
					require.NoError(s, err)
					assert.NoError(s, resp.Body.Close())
				}
				s.eventually("nobody reads the body", func() bool {
					before := body.reads.Load()
					time.Sleep(10 * time.Millisecond)
					return body.reads.Load() == before
				})
				cancel()
			}
		}
	})
}

// The body of a CONNECT goes into the tunnel as it is, before and after the answer.
func TestConnectWithABody(t *testing.T) {
	for name, rt := range map[string]http.RoundTripper{"std": &http.Transport{}, "ours": &transport.Transport{}} {
		t.Run(name, func(t *testing.T) {
			server := startRaw(t, false)
			got := make(chan string, 1)
			go func() {
				c := <-server.conns
				defer c.Close()
				r := bufio.NewReader(c)
				_, err := http.ReadRequest(r)
				assert.NoError(t, err)
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
				b, _ := io.ReadAll(io.LimitReader(r, int64(len("before after"))))
				got <- string(b)
				_, _ = io.WriteString(c, "pong")
				_, _ = io.Copy(io.Discard, r)
			}()
			r, w := io.Pipe()
			read := make(chan struct{})
			go func() {
				_, _ = io.WriteString(w, "before")
				close(read)
			}()
			u, err := url.Parse(server.url())
			require.NoError(t, err)
			req := (&http.Request{Method: http.MethodConnect, URL: u, Host: u.Host, Header: http.Header{}, Body: r}).WithContext(t.Context())
			resp, err := rt.RoundTrip(req)
			require.NoError(t, err)
			<-read
			_, err = io.WriteString(w, " after")
			require.NoError(t, err)
			assert.Equal(t, "before after", <-got)
			b := make([]byte, 4)
			_, err = io.ReadFull(resp.Body, b)
			require.NoError(t, err)
			assert.Equal(t, "pong", string(b))
			require.NoError(t, resp.Body.Close())
			require.NoError(t, w.Close())
		})
	}
}

// Bytes behind a response are not taken for the next one where the caller's TLS has read them ahead, in a record of their own.
func TestUnsolicitedRecordBehindCustomTLS(t *testing.T) {
	server := startRaw(t, true)
	tr := &transport.Transport{DialTLSContext: func(_ context.Context, network, addr string) (net.Conn, error) {
		nc, err := net.Dial(network, addr)
		if err != nil {
			return nil, err
		}
		return tls.Client(nc, server.config), nil
	}}
	defer func() { assert.NoError(t, tr.Close()) }()
	go func() {
		for c := range server.conns {
			go func() {
				defer c.Close()
				r := bufio.NewReader(c)
				cork := c.(*tls.Conn).NetConn().(*corked)
				if c.(*tls.Conn).Handshake() != nil {
					return // a dial that nobody wanted any more
				}
				cork.corked = true
				answer(t, r, c, okResponse)
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
				cork.uncork()
				_, _ = io.Copy(io.Discard, r)
			}()
		}
	}()
	for range 3 {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.url(), nil)
		require.NoError(t, err)
		resp, err := tr.RoundTrip(req)
		require.NoError(t, err)
		b, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.Equal(t, "ok", string(b))
	}
}
