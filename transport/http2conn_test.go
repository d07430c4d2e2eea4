//go:build linux

package transport_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/internal/badserver"
	"github.com/watertight-go/watertight/internal/sockstat"
	"github.com/watertight-go/watertight/transport"
)

// A request's body is written while the response's is read, one answering the other, as gRPC does it; trailers come at the end.
func TestHTTP2IsBidirectional(t *testing.T) {
	handler := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "Count")
		w.(http.Flusher).Flush()
		n := 0
		for lines := bufio.NewScanner(r.Body); lines.Scan(); n++ {
			fmt.Fprintf(w, "%s, %s\n", lines.Text(), r.Method)
			w.(http.Flusher).Flush()
		}
		w.Header().Set("Count", fmt.Sprint(n))
	}
	for _, method := range []string{http.MethodPost, http.MethodConnect} {
		for _, std := range []bool{true, false} {
			s := newHTTP2Story(t, handler, std)
			body, out := io.Pipe()
			resp := s.send(s.request(method, "", body))
			in := bufio.NewReader(resp.Body)
			for i := range 100 {
				_, err := fmt.Fprintf(out, "%d\n", i)
				require.NoError(t, err)
				line, err := in.ReadString('\n')
				require.NoError(t, err)
				assert.Equal(t, fmt.Sprintf("%d, %s\n", i, method), line)
			}
			require.NoError(t, out.Close())
			_, err := in.ReadByte()
			assert.Equal(t, io.EOF, err)
			assert.Equal(t, http.Header{"Count": {"100"}}, resp.Trailer)
			assert.NoError(t, resp.Body.Close())
			s.wantNothingHeld()
		}
	}
}

// A response that has ended holds its stream while the request's body is still being sent, and Close ends that.
func TestHTTP2AnswersBeforeTheUploadEnds(t *testing.T) {
	handler := func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		_, _ = io.ReadFull(r.Body, make([]byte, 10))
		_, _ = io.WriteString(w, "hello")
	}
	for _, std := range []bool{true, false} {
		s := newHTTP2Story(t, handler, std)
		body := &countedBody{Reader: endless{}}
		resp := s.send(s.request(http.MethodPost, "/", body))
		assert.Equal(t, "hello", s.read(resp))
		s.eventually("closed", func() bool { return body.closes.Load() == 1 })
		s.wantNothingHeld()
		s.wantDials(1)
	}
}

// MaxConnsPerHost counts an HTTP/2 connection once, however many share it.
func TestHTTP2ConnectionCountsOnce(t *testing.T) {
	s := newHTTP2Story(t, echo, false, func(tr *http.Transport) { tr.MaxConnsPerHost = 1 })
	var wg sync.WaitGroup
	for range 300 {
		wg.Go(func() { assert.Equal(s, "GET ", s.read(s.get("/"))) })
	}
	wg.Wait()
	s.wantDials(1)
	s.wantNothingHeld()
}

// Where leaked streams are all that MaxConnsPerHost and the server allow, the next request is served all the same.
func TestHTTP2RescueOfStarvingRequests(t *testing.T) {
	transport.ForgetCollections()
	s := newHTTP2Story(t, hangs, false, func(tr *http.Transport) { tr.MaxConnsPerHost = 1 })
	leaks := s.leaks()
	s.read(s.get("/"))
	for range 250 { // which the server allows
		resp := s.get("/body")
		_, err := resp.Body.Read(make([]byte, 1))
		require.NoError(s, err)
	}
	ctx, cancel := context.WithTimeout(s.Context(), 2*patience)
	defer cancel()
	resp, err := s.rt.RoundTrip(s.request(http.MethodGet, "/", nil).WithContext(ctx))
	require.NoError(s, err)
	s.read(resp)
	s.eventually("reported", func() bool { return len(leaks()) > 0 })
	s.wantDials(1)
}

// hangs is hang, and answers "/" at once.
func hangs(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/" {
		hang(w, r)
	}
}

// The pool ends HTTP/2 connections as it does others: idle ones by CloseIdleConnections, IdleConnTimeout and Close, those with
// streams when the last has ended. No socket is left.
func TestHTTP2ConnectionsEnd(t *testing.T) {
	for name, tt := range map[string]struct {
		set  setting
		idle func(*story) // ends an idle connection
	}{
		"CloseIdleConnections": {func(*http.Transport) {}, func(s *story) { s.rt.CloseIdleConnections() }},
		"IdleConnTimeout":      {func(tr *http.Transport) { tr.IdleConnTimeout = 50 * time.Millisecond }, func(*story) {}},
		"Close":                {func(*http.Transport) {}, func(s *story) { assert.NoError(s, s.ours.Close()) }},
		"Shutdown": {func(*http.Transport) {}, func(s *story) {
			ctx, cancel := context.WithCancel(s.Context())
			cancel()
			_ = s.ours.Shutdown(ctx)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newHTTP2Story(t, sized, false, tt.set)
			busy := s.get("/1000000")
			s.read(s.get("/10"))
			tt.idle(s)
			assert.Len(s, s.read(busy), 1000000)
			s.eventually("no socket", func() bool {
				left := sockets(s, s.server)
				return left[sockstat.Established]+left[sockstat.CloseWait] == 0
			})
			assert.Zero(s, s.ours.Stats().Open)
			s.wantDials(1)
		})
	}
}

// A connection that is older than MaxConnLifetime takes no more requests, and those it has run on.
func TestHTTP2ConnectionsAge(t *testing.T) {
	s := newHTTP2Story(t, sized, false)
	s.ours.MaxConnLifetime = 100 * time.Millisecond
	busy := s.get("/1000000")
	s.eventually("another connection", func() bool {
		s.read(s.get("/10"))
		return s.dials.Load() == 2
	})
	assert.Equal(s, 1, s.ours.Stats().Bodies)
	assert.Len(s, s.read(busy), 1000000)
	s.eventually("closed", func() bool { return s.ours.Stats().Closes["lifetime"] >= 1 })
}

// DisableKeepAlives uses each connection for one request, over HTTP/2 as well.
func TestHTTP2WithoutKeepAlive(t *testing.T) {
	s := newHTTP2Story(t, sized, false, func(tr *http.Transport) { tr.DisableKeepAlives = true })
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() { assert.Len(s, s.read(s.get("/100000")), 100000) })
	}
	wg.Wait()
	s.wantDials(5)
	s.eventually("closed", func() bool { return s.ours.Stats().Open == 0 })
}

// A connection that is closed at the end of its last stream does not cut that off: the end has been acted on by then.
func TestHTTP2EndIsActedOn(t *testing.T) {
	server := badserver.Start(t, speaks(func(f *badserver.Frames) error {
		stream, err := f.AwaitRequest()
		if err != nil {
			return err
		}
		return errors.Join(f.Together(func() error {
			return errors.Join(f.Head(stream, false, ":status", "200"), f.WriteData(stream, false, pattern(2000)), f.WriteData(stream, true, pattern(1000)))
		}), f.Rest())
	}))
	tr := cleartext(t)
	tr.DisableKeepAlives = true
	for range 300 {
		resp := mustGet(t, tr, server.URL)
		b, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		assert.Len(t, b, 3000)
	}
}

// A server that is closed takes its connections along, idle and busy: no socket stays.
func TestHTTP2ServerLeaves(t *testing.T) {
	s := newHTTP2Story(t, hangs, false)
	s.read(s.get("/"))
	busy := s.get("/body")
	s.server.CloseClientConnections()
	_, err := io.ReadAll(busy.Body)
	assert.Error(s, err)
	assert.NoError(s, busy.Body.Close())
	s.eventually("closed", func() bool { return s.ours.Stats().Open == 0 })
	s.eventually("no socket", func() bool { return sockets(s, s.server)[sockstat.CloseWait] == 0 })
	s.read(s.get("/"))
	s.wantDials(2)
}

// A transport that is dropped without Close is collected with its HTTP/2 connection.
func TestDroppedTransportWithHTTP2(t *testing.T) {
	s := newHTTP2Story(t, echo, false)
	func() {
		tr := transport.From(&http.Transport{TLSClientConfig: trust(s.server), ForceAttemptHTTP2: true})
		s.read(mustGet(t, tr, s.server.URL))
		assert.Equal(t, 1, sockets(s, s.server)[sockstat.Established])
		runtime.KeepAlive(tr)
	}()
	s.eventuallyCollected("no socket", func() bool { return sockets(s, s.server)[sockstat.Established] == 0 })
}

// A small body that has arrived with its head is detached: it holds neither a stream nor a part of the window, read or not. What is
// wrong with one is told by its Reads, and trailers come at its end.
func TestHTTP2SmallBodiesAreDetached(t *testing.T) {
	const size = 4000
	for name, tt := range map[string]struct {
		sent int
		err  error
	}{"whole": {size, nil}, "short": {size - 1, io.ErrUnexpectedEOF}} {
		t.Run(name, func(t *testing.T) {
			server := badserver.Start(t, speaks(func(f *badserver.Frames) error {
				for {
					stream, err := f.AwaitRequest()
					if err != nil {
						return err
					}
					err = f.Together(func() error {
						return errors.Join(
							f.Head(stream, false, ":status", "200", "content-length", fmt.Sprint(size), "trailer", "declared"),
							f.WriteData(stream, false, pattern(tt.sent)),
							f.Head(stream, true, "declared", "a", "undeclared", "b"))
					})
					if err != nil {
						return err
					}
				}
			}))
			tr := cleartext(t)
			tr.HTTP2 = &http.HTTP2Config{MaxReceiveBufferPerConnection: 64 << 10}
			var kept []*http.Response
			for range 100 { // many times the window
				kept = append(kept, mustGet(t, tr, server.URL))
				assert.Equal(t, http.Header{"Declared": nil}, kept[len(kept)-1].Trailer)
			}
			for _, resp := range kept {
				b, err := io.ReadAll(resp.Body)
				assert.Equal(t, tt.err, err)
				assert.Equal(t, pattern(tt.sent), b)
				if err == nil {
					assert.Equal(t, http.Header{"Declared": {"a"}, "Undeclared": {"b"}}, resp.Trailer)
				}
				assert.NoError(t, resp.Body.Close())
				_, err = resp.Body.Read(make([]byte, 1))
				if want := tt.err; want != nil {
					assert.Equal(t, want, err)
				} else {
					assert.Equal(t, http.ErrBodyReadAfterClose, err)
				}
			}
			assert.Equal(t, 1, server.Accepted())
			require.Eventually(t, func() bool { return tr.Stats().Leased == 0 }, patience, tick)
		})
	}
}
