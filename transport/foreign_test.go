//go:build linux

package transport_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"os"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/internal/badserver"
	"github.com/watertight-go/watertight/internal/sockstat"
	"github.com/watertight-go/watertight/transport"
)

// A lazy connection has deadlines that do nothing, and say nothing of it, as those of pipes to another process often do.
type lazy struct{ bare }

func (lazy) SetDeadline(time.Time) error      { return nil }
func (lazy) SetReadDeadline(time.Time) error  { return nil }
func (lazy) SetWriteDeadline(time.Time) error { return nil }

// A strict connection is closed by a deadline that passes, as some of those over WebSockets are.
type strict struct {
	bare
	timer *atomic.Pointer[time.Timer]
}

func (c strict) SetDeadline(t time.Time) error      { return c.SetReadDeadline(t) }
func (c strict) SetWriteDeadline(t time.Time) error { return c.SetReadDeadline(t) }

func (c strict) SetReadDeadline(t time.Time) error {
	var timer *time.Timer
	if !t.IsZero() {
		timer = time.AfterFunc(time.Until(t), func() { _ = c.Close() })
	}
	if old := c.timer.Swap(timer); old != nil {
		old.Stop()
	}
	return nil
}

// A muxed connection has an error of its own for deadlines, as those of multiplexers have.
type muxed struct{ bare }

type muxedTimeout struct{ error }

func (muxedTimeout) Timeout() bool   { return true }
func (muxedTimeout) Temporary() bool { return true }

func (c muxed) Read(p []byte) (int, error) {
	n, err := c.bare.Read(p)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = muxedTimeout{errors.New("deadline reached")}
	}
	return n, err
}

// A talkative connection adds to what its errors say.
type talkative struct{ bare }

func (c talkative) Read(p []byte) (int, error) {
	n, err := c.bare.Read(p)
	if err != nil && err != io.EOF {
		err = fmt.Errorf("talkative: %w", err)
	}
	return n, err
}

// foreigners are connections that are not the net package's own.
var foreigners = map[string]func(net.Conn) net.Conn{
	"deadlines":         func(nc net.Conn) net.Conn { return bare{nc} },
	"no deadlines":      func(nc net.Conn) net.Conn { return untimed{bare{nc}} },
	"strict deadlines":  func(nc net.Conn) net.Conn { return strict{bare{nc}, new(atomic.Pointer[time.Timer])} },
	"talkative":         func(nc net.Conn) net.Conn { return talkative{bare{nc}} },
	"muxed":             func(nc net.Conn) net.Conn { return muxed{bare{nc}} },
	"deadlines in vain": func(nc net.Conn) net.Conn { return lazy{bare{nc}} },
}

// amongForeigners tells a story everywhere, over each kind of them.
func amongForeigners(t *testing.T, handler http.HandlerFunc, tell func(s *story)) {
	for name, wrap := range foreigners {
		t.Run(name, func(t *testing.T) {
			everywhere(t, handler, tell, func(tr *http.Transport) {
				dial := tr.DialContext
				tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
					nc, err := dial(ctx, network, addr)
					if err != nil {
						return nil, err
					}
					return wrap(nc), nil
				}
			})
		})
	}
}

// They serve one request after the other.
func TestForeignConnectionsAreReused(t *testing.T) {
	amongForeigners(t, sized, func(s *story) {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			for _, n := range []int{10, 100000, 0, 10} {
				assert.Len(s, s.read(s.send(s.request(method, "/"+strconv.Itoa(n), nil))), n)
			}
		}
		s.wantDials(1)
	})
}

// A request that ends does not wait for the server, whatever it was doing.
func TestForeignConnectionsEndWithTheRequest(t *testing.T) {
	handler := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/body" {
			_, _ = w.Write(pattern(20000))
			w.(http.Flusher).Flush()
		}
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}
	amongForeigners(t, handler, func(s *story) {
		ctx, cancel := context.WithCancel(s.Context())
		go cancel()
		_, err := s.rt.RoundTrip(s.request(http.MethodGet, "/head", nil).WithContext(ctx))
		assert.Equal(s, context.Canceled, err)

		ctx, cancel = context.WithCancel(s.Context())
		resp := s.send(s.request(http.MethodGet, "/body", nil).WithContext(ctx))
		_, err = io.ReadFull(resp.Body, make([]byte, 20000))
		require.NoError(s, err)
		go cancel()
		_, err = resp.Body.Read(make([]byte, 1))
		assert.Error(s, err)
		if s.ours != nil { // net/http may say that it was the end
			assert.Equal(s, context.Canceled, err)
		}

		resp = s.get("/body")
		_, err = io.ReadFull(resp.Body, make([]byte, 20000))
		require.NoError(s, err)
		go resp.Body.Close()
		_, err = resp.Body.Read(make([]byte, 1))
		assert.Error(s, err)

		if s.ours != nil { // net/http may wait for the body's Read
			ctx, cancel = context.WithCancel(s.Context())
			go cancel()
			r, w := io.Pipe()
			defer w.Close()
			_, err = s.rt.RoundTrip(s.request(http.MethodPost, "/upload", r).WithContext(ctx))
			assert.Equal(s, context.Canceled, err)
		}
		s.eventually("no socket", func() bool {
			s.rt.CloseIdleConnections() // those of dials that the requests did not wait for
			return len(sockets(s, s.server)) == 0
		})
	})
}

// What is left of a body that its reader closes is drained, as long as DrainTimeout allows.
func TestForeignConnectionsDrain(t *testing.T) {
	more := make(chan struct{})
	handler := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "20000")
		_, _ = w.Write(pattern(15000))
		w.(http.Flusher).Flush()
		select {
		case <-more:
		case <-r.Context().Done():
		}
		_, _ = w.Write(pattern(5000))
	}
	for name, wrap := range foreigners {
		t.Run(name, func(t *testing.T) {
			ours1(t, handler, func(s *story) {
				s.ours.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
					nc, err := s.dial(ctx, network, addr)
					if err != nil {
						return nil, err
					}
					return wrap(nc), nil
				}
				s.ours.DrainTimeout = patience
				require.NoError(s, s.get("/").Body.Close())
				more <- struct{}{}
				s.eventually("drained", func() bool { return s.ours.Stats().Idle == 1 })
				tr := s.ours.Clone()
				defer func() { assert.NoError(s, tr.Close()) }()
				tr.DrainTimeout = time.Millisecond
				require.NoError(s, mustGet(s.T, tr, s.server.URL).Body.Close())
				s.eventually("given up", func() bool { return tr.Stats().Closes[transport.ReasonUnread] == 1 })
			})
		})
	}
}

// A server that hangs up on an idle one is noticed at once.
func TestForeignConnectionsSeeTheHangup(t *testing.T) {
	amongForeigners(t, sized, func(s *story) {
		s.read(s.get("/10"))
		s.server.CloseClientConnections()
		s.wantNoSockets()
		if s.ours == nil && s.http2 {
			return // a reset leaves no trace in the kernel, and may not have come to it: a request then fails on it
		}
		s.read(s.get("/10"))
		s.wantDials(2)
	})
}

// Callers are told of the connection that their dialer made.
func TestForeignConnectionsAreWhatGotConnShows(t *testing.T) {
	server := badserver.Start(t, badserver.Script{badserver.ReadRequest{}, badserver.Write(okResponse)})
	var made lazy
	tr := &transport.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := new(net.Dialer).DialContext(ctx, network, addr)
		made.nc = nc
		return made, err
	}}
	var got net.Conn
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) { got = info.Conn }})
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
	require.NoError(t, err)
	resp, err := tr.RoundTrip(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.Equal(t, net.Conn(made), got)
	require.NoError(t, tr.Close())
}

// A cloaked connection is TLS that shows the descriptor beneath it.
type cloaked struct {
	*net.TCPConn
	tc *tls.Conn
}

func (c cloaked) Read(p []byte) (int, error)  { return c.tc.Read(p) }
func (c cloaked) Write(p []byte) (int, error) { return c.tc.Write(p) }
func (c cloaked) Close() error                { return c.tc.Close() }

// What lies in the kernel beneath a wrapper is not HTTP: here, a session ticket.
func TestForeignDescriptorsAreNotLookedAt(t *testing.T) {
	for _, std := range []bool{true, false} {
		server := httptest.NewUnstartedServer(http.HandlerFunc(sized))
		server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert} // so that the ticket follows the handshake
		server.StartTLS()
		config := trust(server)
		config.ServerName, config.ClientSessionCache = "example.com", tls.NewLRUClientSessionCache(0) // or there is no ticket
		s := newStory(t, echo, false, std, func(tr *http.Transport) {
			tr.DialTLSContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				nc, err := new(net.Dialer).DialContext(ctx, network, addr)
				if err != nil {
					return nil, err
				}
				tc := tls.Client(nc, config)
				if err := tc.HandshakeContext(ctx); err != nil {
					return nil, err
				}
				assert.Eventually(t, func() bool { // the ticket has arrived
					return slices.ContainsFunc(socketsTo(t, server.URL), func(s sockstat.Socket) bool { return s.Unread > 0 })
				}, patience, tick)
				return cloaked{nc.(*net.TCPConn), tc}, nil
			}
		})
		for range 3 {
			assert.Len(s, s.read(mustGet(s.T, s.rt, server.URL+"/10")), 10)
		}
		s.rt.CloseIdleConnections()
		server.Close()
	}
}

// A readAhead connection has the descriptor of a connection of the net package's, but has read more than it gave.
type readAhead struct {
	*net.TCPConn
	r *bufio.Reader
}

func (c *readAhead) Read(p []byte) (int, error) { return c.r.Read(p) }

// What a wrapper has read ahead of a request is no answer to it, although its descriptor shows nothing.
func TestReadAheadIsNoAnswer(t *testing.T) {
	body := bytes.Repeat([]byte("b"), 20000)
	evil := append(bytes.Clone(body), "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"...)
	server := badserver.Start(t, badserver.Script{
		badserver.ReadRequest{},
		badserver.Write("HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n"),
		badserver.Write(evil),
		badserver.Stall{},
	})
	tr := &transport.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &readAhead{nc.(*net.TCPConn), bufio.NewReaderSize(nc, 64<<10)}, nil
	}}
	defer func() { assert.NoError(t, tr.Close()) }()
	for i := range 3 {
		resp := mustGet(t, tr, server.URL)
		b, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		assert.True(t, bytes.Equal(body, b), "%d bytes", len(b))
		require.NoError(t, resp.Body.Close())
		require.Eventually(t, func() bool { return tr.Stats().Closes[transport.ReasonUnsolicited] == int64(i+1) }, patience, tick)
	}
}

// One that was dialed in vain serves the next request; if its server hangs up before, it is closed.
func TestForeignConnectionsDialedInVain(t *testing.T) {
	for name, wrap := range foreigners {
		t.Run(name, func(t *testing.T) {
			ours1(t, sized, func(s *story) {
				began, gate := make(chan struct{}), make(chan struct{})
				s.ours.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
					began <- struct{}{}
					<-gate
					nc, err := s.dial(ctx, network, addr)
					if err != nil {
						return nil, err
					}
					return wrap(nc), nil
				}
				for _, hangup := range []bool{false, true} {
					ctx, cancel := context.WithCancel(s.Context())
					go func() {
						<-began
						cancel()
					}()
					_, err := s.rt.RoundTrip(s.request(http.MethodGet, "/10", nil).WithContext(ctx))
					require.ErrorIs(s, err, context.Canceled)
					gate <- struct{}{}
					s.eventually("idle", func() bool { return s.ours.Stats().Idle == 1 })
					if !hangup {
						assert.Len(s, s.read(s.send(s.request(http.MethodPost, "/10", nil))), 10)
						assert.EqualValues(s, 1, s.ours.Stats().Dials)
						s.rt.CloseIdleConnections()
						continue
					}
					s.eventually("no socket", func() bool { // of a reset the kernel forgets it before we know
						s.server.CloseClientConnections() // those that it has accepted by now
						return len(sockets(s, s.server)) == 0
					})
					s.eventually("noticed", func() bool {
						closes := s.ours.Stats().Closes
						return closes[transport.ReasonPeerClosed]+closes[transport.ReasonPeerReset] == 1
					})
				}
			})
		})
	}
}

// A server that answers before it reads does not stop one that has no room for what it does not read.
func TestEarlyAnswerThroughAPipe(t *testing.T) {
	for _, std := range []bool{true, false} {
		s := newStory(t, echo, false, std, func(tr *http.Transport) {
			tr.DialContext = func(context.Context, string, string) (net.Conn, error) {
				client, server := net.Pipe()
				go func() {
					defer server.Close()
					r := bufio.NewReaderSize(server, 16)
					for {
						req, err := http.ReadRequest(r)
						if err != nil {
							return
						}
						if _, err := io.WriteString(server, okResponse); err != nil {
							return
						}
						_, _ = io.Copy(io.Discard, req.Body)
					}
				}()
				return client, nil
			}
		})
		for range 3 {
			for _, size := range []int{0, 100, 5000, 100000} {
				resp := s.send(s.request(http.MethodPost, "/", bytes.NewReader(make([]byte, size))))
				assert.Equal(s, "ok", s.read(resp))
			}
		}
		s.rt.CloseIdleConnections()
	}
}

// A messenger loses what a Read has no room for.
type messenger struct{ lazy }

func (c messenger) Read(p []byte) (int, error) {
	var message [2 << 10]byte
	n, err := c.lazy.Read(message[:])
	return copy(p, message[:n]), err
}

// Its messages are not cut.
func TestMessagesAreReadWhole(t *testing.T) {
	for _, std := range []bool{true, false} {
		s := newStory(t, sized, false, std, func(tr *http.Transport) {
			dial := tr.DialContext
			tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				nc, err := dial(ctx, network, addr)
				return messenger{lazy{bare{nc}}}, err
			}
		})
		for range 5 {
			assert.Len(s, s.read(s.get("/10")), 10)
		}
		s.wantDials(1)
	}
}
