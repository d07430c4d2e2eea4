//go:build linux

package transport_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/internal/sockstat"
)

// inTwo answers with a small body in two pieces, the second of which it sends when told to.
func inTwo(more <-chan struct{}) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var out io.Writer = w
		switch {
		case r.URL.Query().Has("gzip"):
			w.Header().Set("Content-Encoding", "gzip")
			zw := gzip.NewWriter(w)
			defer zw.Close()
			out = zw
		case r.URL.Query().Has("trailer"):
			w.Header().Set("Trailer", "X-Sum")
			defer w.Header().Set("X-Sum", "42")
		case !r.URL.Query().Has("chunked"):
			w.Header().Set("Content-Length", "2000")
		}
		_, _ = out.Write(pattern(1000))
		if zw, ok := out.(*gzip.Writer); ok {
			_ = zw.Flush()
		}
		w.(http.Flusher).Flush()
		select {
		case <-more:
		case <-r.Context().Done():
		}
		_, _ = out.Write(pattern(2000)[1000:])
	}
}

// A small body whose rest comes after the response gives its connection back when it has come, whoever reads or does not: and the
// caller reads it all the same.
func TestTheRestOfASmallBody(t *testing.T) {
	for _, query := range []string{"?length", "?chunked", "?gzip", "?trailer"} {
		for read := range 3 { // how much is read before
			more := make(chan struct{})
			ours(t, inTwo(more), func(s *story) {
				withoutCollections(s.T)
				leaks := s.leaks()
				resp := s.get("/" + query)
				assert.Equal(s, 1, s.ours.Stats().Leased)
				got := make([]byte, read*400)
				_, err := io.ReadFull(resp.Body, got)
				require.NoError(s, err)
				more <- struct{}{}
				s.eventually("given back", func() bool { return s.ours.Stats().Idle == 1 })
				assert.Empty(s, s.ours.OpenBodies())
				assert.Zero(s, s.ours.Stats().Bodies)
				next := s.get("/" + query) // on the same connection, as the body is read
				rest, err := io.ReadAll(resp.Body)
				require.NoError(s, err)
				assert.Equal(s, string(pattern(2000)), string(got)+string(rest))
				if query == "?trailer" {
					assert.Equal(s, "42", resp.Trailer.Get("X-Sum"))
				}
				require.NoError(s, resp.Body.Close())
				_, err = resp.Body.Read(make([]byte, 1))
				assert.Equal(s, http.ErrBodyReadAfterClose, err)
				more <- struct{}{}
				assert.Equal(s, string(pattern(2000)), s.read(next))
				s.wantDials(1)
				assert.Empty(s, leaks())
			})
		}
	}
}

// Dropped then, it is no leak. A Close gives back the memory and does nothing to the connection, and neither does a cancellation.
func TestTheRestThatNobodyReads(t *testing.T) {
	more := make(chan struct{})
	ours(t, inTwo(more), func(s *story) {
		leaks := s.leaks()
		ctx, cancel := context.WithCancel(s.Context())
		resp := s.send(s.request(http.MethodGet, "/", nil).WithContext(ctx))
		more <- struct{}{}
		s.eventually("given back", func() bool { return s.ours.Stats().Idle == 1 })
		cancel()
		next := s.get("/")
		require.NoError(s, resp.Body.Close())
		require.NoError(s, resp.Body.Close())
		more <- struct{}{}
		s.eventually("given back", func() bool { return s.ours.Stats().Idle == 1 })
		assert.NotNil(s, next.Body)
		for range 3 {
			runtime.GC()
		}
		last := s.get("/")
		more <- struct{}{}
		assert.Len(s, s.read(last), 2000)
		s.wantDials(1)
		assert.Empty(s, leaks())
		assert.Empty(s, s.ours.Stats().Leaks)
	})
}

// Who reads while the rest is on its way has it at once; who closes has the connection drained, and who cancels has it closed.
func TestTheRestThatSomebodyAwaits(t *testing.T) {
	more := make(chan struct{})
	ours1(t, inTwo(more), func(s *story) {
		s.ours.DrainTimeout = patience
		resp := s.get("/")
		read := make(chan string)
		go func() {
			b, _ := io.ReadAll(resp.Body)
			read <- string(b)
		}()
		more <- struct{}{}
		assert.Equal(s, string(pattern(2000)), <-read)
		s.eventually("given back", func() bool { return s.ours.Stats().Idle == 1 })

		resp = s.get("/")
		s.eventually("somebody awaits it", func() bool {
			stacks := make([]byte, 1<<20)
			return bytes.Contains(stacks[:runtime.Stack(stacks, true)], []byte("awaitInput"))
		})
		require.NoError(s, resp.Body.Close())
		more <- struct{}{}
		s.eventually("drained", func() bool { return s.ours.Stats().Idle == 1 })
		s.wantDials(1)

		ctx, cancel := context.WithCancel(s.Context())
		resp = s.send(s.request(http.MethodGet, "/", nil).WithContext(ctx))
		cancel()
		_, err := io.ReadAll(resp.Body)
		assert.Equal(s, context.Canceled, err)
		s.wantNoSockets()

		s.ours = s.ours.Clone()
		defer func() { assert.NoError(s, s.ours.Close()) }()
		s.ours.SalvageTimeout = patience
		ctx, cancel = context.WithCancel(s.Context())
		req := s.request(http.MethodGet, "/", nil).WithContext(ctx)
		resp, err = s.ours.RoundTrip(req)
		require.NoError(s, err)
		cancel()
		_, err = io.ReadAll(resp.Body)
		assert.Equal(s, context.Canceled, err)
		s.eventually("salvaged", func() bool {
			select {
			case more <- struct{}{}: // which the handler of the request before may take that has yet to hear of its end
			default:
			}
			return s.ours.Stats().Idle == 1
		})
	})
}

// Closes, reads, cancellations and the rest meet at random moments, and the next request has its own answer.
func TestTheRestMeetsItsReader(t *testing.T) {
	handler := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "2000")
		_, _ = w.Write(pattern(1000))
		w.(http.Flusher).Flush()
		runtime.Gosched()
		_, _ = w.Write(pattern(2000)[1000:])
	}
	ours(t, handler, func(s *story) {
		for i := range 1000 {
			ctx, cancel := context.WithCancel(s.Context())
			resp := s.send(s.request(http.MethodGet, "/", nil).WithContext(ctx))
			switch i % 4 {
			case 0:
				assert.Equal(s, string(pattern(2000)), s.read(resp))
			case 1:
				require.NoError(s, resp.Body.Close())
			case 2:
				time.Sleep(time.Duration(i%100) * time.Microsecond)
				require.NoError(s, resp.Body.Close())
			default:
				go cancel()
				if b, err := io.ReadAll(resp.Body); err == nil {
					assert.Equal(s, string(pattern(2000)), string(b))
				} else {
					assert.Equal(s, context.Canceled, err)
				}
				require.NoError(s, resp.Body.Close())
			}
			cancel()
		}
		s.wantNoneOpen()
	})
}

// A reset instead of the rest is told as what it is, whoever saw it first.
func TestAResetInsteadOfTheRest(t *testing.T) {
	for _, https := range []bool{false, true} {
		for _, std := range []bool{true, false} {
			for _, later := range []bool{true, false} {
				server := startRaw(t, https)
				s := newStory(t, echo, false, std, func(tr *http.Transport) { tr.TLSClientConfig = server.config })
				reset := make(chan struct{})
				go func() {
					c := <-server.conns
					answer(t, bufio.NewReader(c), c, "HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n"+strings.Repeat("x", 1000))
					<-reset
					raw := c
					if tc, ok := c.(*tls.Conn); ok {
						raw = tc.NetConn().(*corked).Conn
					}
					_ = raw.(*net.TCPConn).SetLinger(0)
					_ = raw.Close()
				}()
				resp := mustGet(t, s.rt, server.url())
				_, err := io.ReadFull(resp.Body, make([]byte, 1000))
				require.NoError(s, err)
				if later {
					close(reset)
					s.eventually("no socket", func() bool { return sockstat.Count(socketsTo(s, server.url()))[sockstat.Established] == 0 })
				} else {
					go close(reset)
				}
				_, err = io.ReadAll(resp.Body)
				assert.ErrorIs(s, err, syscall.ECONNRESET)
				require.NoError(s, resp.Body.Close())
				if s.ours != nil {
					s.eventually("closed", func() bool { return s.ours.Stats().Open == 0 })
				}
			}
		}
	}
}
