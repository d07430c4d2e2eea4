package transport_test

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/pool"
	"github.com/watertight-go/watertight/transport"
)

// A rawServer hands each of its connections to the test.
type rawServer struct {
	net.Listener
	conns  chan net.Conn
	config *tls.Config // for clients; nil without TLS
}

func startRaw(t testing.TB, https bool) *rawServer {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &rawServer{Listener: l, conns: make(chan net.Conn, 16)}
	if https {
		cert := rawCertificate()
		s.config = &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "example.com"}
		s.config.RootCAs.AddCert(cert.Leaf)
		s.Listener = tls.NewListener(corkable{l}, &tls.Config{Certificates: []tls.Certificate{cert}})
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := s.Accept()
			if errors.Is(err, syscall.EMFILE) { // where a test has lowered the limit
				time.Sleep(tick)
				continue
			}
			if err != nil {
				close(s.conns)
				return
			}
			s.conns <- c
		}
	}()
	return s
}

// rawCertificate is of a kind with which a handshake takes a fraction of the time that it takes with that of httptest.
var rawCertificate = sync.OnceValue(func() tls.Certificate {
	public, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"example.com"}, NotAfter: time.Now().Add(24 * time.Hour), BasicConstraintsValid: true, IsCA: true}
	der, err := x509.CreateCertificate(nil, template, template, public, key)
	if err != nil {
		panic(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
})

// corkable is a listener whose connections count what is read, and can hold back what is written, to send it in one piece.
type corkable struct{ net.Listener }

func (l corkable) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &corked{Conn: nc}, nil
}

type corked struct {
	net.Conn
	held   bytes.Buffer
	corked bool
	got    int // bytes read
}

func (c *corked) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.got += n
	return n, err
}

func (c *corked) Write(p []byte) (int, error) {
	if c.corked {
		return c.held.Write(p)
	}
	return c.Conn.Write(p)
}

func (c *corked) uncork() {
	c.corked = false
	_, _ = c.held.WriteTo(c.Conn)
}

func (s *rawServer) url() string {
	if s.config != nil {
		return "https://" + s.Addr().String()
	}
	return "http://" + s.Addr().String()
}

// answer reads one request from c and writes raw bytes.
func answer(t testing.TB, r *bufio.Reader, c net.Conn, raw string) {
	req, err := http.ReadRequest(r)
	if !assert.NoError(t, err) {
		return
	}
	_, _ = io.Copy(io.Discard, req.Body)
	_, err = io.WriteString(c, raw)
	assert.NoError(t, err)
}

const okResponse = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

// Bytes that a server sends without being asked end the connection: they are never taken for the answer to the next
// request, whether they come with a response, later, or behind a session ticket.
func TestUnsolicitedBytesEndAConnection(t *testing.T) {
	for _, https := range []bool{false, true} {
		for name, raw := range map[string]string{
			"with the response": okResponse + "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
			"a late 408":        okResponse,
		} {
			t.Run(name+map[bool]string{true: " https"}[https], func(t *testing.T) {
				server := startRaw(t, https)
				tr := &transport.Transport{TLSClientConfig: server.config}
				defer func() { assert.NoError(t, tr.Close()) }()
				served := make(chan struct{})
				var late chan struct{}
				if name == "a late 408" {
					late = make(chan struct{})
				}
				go func() {
					defer close(served)
					c := <-server.conns
					defer c.Close()
					r := bufio.NewReader(c)
					answer(t, r, c, raw)
					if late != nil {
						_, _ = io.WriteString(c, "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n")
						close(late)
					}
					_, _ = io.Copy(io.Discard, c) // until the client leaves
					second := <-server.conns
					defer second.Close()
					answer(t, bufio.NewReader(second), second, okResponse)
				}()
				for range 2 {
					req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.url(), nil)
					require.NoError(t, err)
					resp, err := tr.RoundTrip(req)
					require.NoError(t, err)
					b, err := io.ReadAll(resp.Body)
					require.NoError(t, err)
					assert.Equal(t, "ok", string(b))
					if late != nil {
						<-late // it is in our kernel: loopback delivers before the write returns
					}
				}
				assert.NoError(t, tr.Close())
				<-served
			})
		}
	}
}

// rawModes tests over connections of ours, and over TLS of the caller's, where only a Read tells what has arrived.
func rawModes(t *testing.T, f func(t *testing.T, server *rawServer, tr *transport.Transport)) {
	for _, name := range []string{"http", "https", "https of the caller's"} {
		t.Run(name, func(t *testing.T) {
			server := startRaw(t, name != "http")
			tr := &transport.Transport{TLSClientConfig: server.config}
			if name == "https of the caller's" {
				tr.DialTLSContext = (&tls.Dialer{Config: server.config}).DialContext
			}
			f(t, server, tr)
		})
	}
}

// A server that answers before it can know the whole head is answering something else: its answer is the caller's, but the connection
// is not used again. What follows of the head might be a request to it, and have an answer of its own.
func TestAnswerBeforeTheHeadIsWrittenEndsTheConnection(t *testing.T) {
	rawModes(t, func(t *testing.T, server *rawServer, tr *transport.Transport) {
		served := make(chan struct{})
		go func() {
			defer close(served)
			for c := range server.conns {
				r := bufio.NewReader(c)
				answer(t, r, c, okResponse)
				if _, err := r.Peek(100); err == nil { // of more than the kernels take
					_, _ = io.WriteString(c, okResponse)
					req, err := http.ReadRequest(r)
					assert.NoError(t, err)
					assert.Len(t, req.Header.Get("Large"), 8<<20)
					_, _ = io.Copy(io.Discard, c) // until the client leaves
				}
				_ = c.Close()
			}
		}()
		for _, large := range []int{0, 8 << 20, 0} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.url(), nil)
			require.NoError(t, err)
			req.Header.Set("Large", strings.Repeat("x", large))
			resp, err := tr.RoundTrip(req)
			require.NoError(t, err)
			b, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			assert.Equal(t, "ok", string(b))
		}
		assert.EqualValues(t, 2, tr.Stats().Dials)
		assert.EqualValues(t, 1, tr.Stats().Closes[transport.ReasonUnfinished])
		assert.NoError(t, tr.Close())
		assert.NoError(t, server.Close())
		<-served
	})
}

// A body that may be empty is asked for its first byte before the head can be written, which may take its time: bytes that arrive
// meanwhile are no answer, and a body that can be had again is sent elsewhere.
func TestBytesBesideAProbeOfTheBodyAreNoAnswer(t *testing.T) {
	rawModes(t, func(t *testing.T, server *rawServer, tr *transport.Transport) {
		asked, wrote := make(chan struct{}), make(chan struct{})
		served := make(chan struct{})
		go func() {
			defer close(served)
			c := <-server.conns
			answer(t, bufio.NewReader(c), c, okResponse)
			<-asked
			_, _ = io.WriteString(c, "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
			close(wrote)
			second := <-server.conns
			answer(t, bufio.NewReader(second), second, okResponse)
			_, _ = io.Copy(io.Discard, second) // until the client leaves
			_ = c.Close()
			_ = second.Close()
		}()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.url(), nil)
		require.NoError(t, err)
		resp, err := tr.RoundTrip(req)
		require.NoError(t, err)
		assert.Equal(t, 200, resp.StatusCode)
		first := true
		open := func() (io.ReadCloser, error) {
			if !first {
				return io.NopCloser(io.LimitReader(strings.NewReader("again"), 5)), nil
			}
			first = false
			return io.NopCloser(readerFunc(func([]byte) (int, error) {
				close(asked)
				<-wrote
				return 0, io.EOF
			})), nil
		}
		req.Body, _ = open()
		req.GetBody, req.ContentLength = open, -1
		resp, err = tr.RoundTrip(req)
		require.NoError(t, err)
		assert.Equal(t, 200, resp.StatusCode)
		assert.NoError(t, resp.Body.Close())
		assert.EqualValues(t, 1, tr.Stats().Retries)
		assert.EqualValues(t, 1, tr.Stats().Closes[transport.ReasonUnsolicited])
		assert.NoError(t, tr.Close())
		assert.NoError(t, server.Close())
		<-served
	})
}

// An idle connection that the server resets is closed for that reason, also where only a Read tells.
func TestIdleConnectionsThatAreReset(t *testing.T) {
	rawModes(t, func(t *testing.T, server *rawServer, tr *transport.Transport) {
		go func() { assert.NoError(t, mustGet(t, tr, server.url()).Body.Close()) }()
		c := <-server.conns
		answer(t, bufio.NewReader(c), c, okResponse)
		require.Eventually(t, func() bool { return tr.Stats().Idle == 1 }, patience, tick)
		if tc, ok := c.(*tls.Conn); ok {
			c = tc.NetConn().(*corked).Conn
		}
		require.NoError(t, c.(*net.TCPConn).SetLinger(0))
		require.NoError(t, c.Close())
		require.Eventually(t, func() bool { return tr.Stats().Open == 0 }, patience, tick)
		assert.Equal(t, map[pool.Reason]int64{transport.ReasonPeerReset: 1}, tr.Stats().Closes)
	})
}
