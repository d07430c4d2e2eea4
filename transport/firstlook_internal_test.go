//go:build linux

package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// endsOfServers are what servers do to a connection before a request is written, and what the request is told.
var endsOfServers = map[string]struct {
	end  func(*net.TCPConn)
	want func(t *testing.T, err error)
}{
	"FIN":   {func(*net.TCPConn) {}, func(t *testing.T, err error) { assert.Equal(t, io.EOF, err) }},
	"reset": {func(c *net.TCPConn) { _ = c.SetLinger(0) }, func(t *testing.T, err error) { assert.ErrorIs(t, err, syscall.ECONNRESET) }},
	"response": {func(c *net.TCPConn) { _, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n") }, func(t *testing.T, err error) {
		assert.ErrorIs(t, err, errSpokeFirst)
	}},
}

// tcpPair returns the two ends of a connection.
func tcpPair(t *testing.T) (ours, theirs *net.TCPConn) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	a, err := net.Dial("tcp", listener.Addr().String())
	require.NoError(t, err)
	b, err := listener.Accept()
	require.NoError(t, err)
	return a.(*net.TCPConn), b.(*net.TCPConn)
}

func coreOf(t *testing.T, settings *Transport) *core {
	c, err := newCore(settings)
	require.NoError(t, err)
	c.closes = new(closeObservers)
	t.Cleanup(func() { assert.NoError(t, c.close()) })
	return c
}

// endedConn returns a connection just dialed whose server has ended it, as the reaper knows.
func endedConn(t *testing.T, end func(*net.TCPConn)) *http1Conn {
	ours, theirs := tcpPair(t)
	end(theirs)
	require.NoError(t, theirs.Close())
	hc := coreOf(t, &Transport{}).newHTTP1Conn(route{scheme: "http", host: "origin.example"}, ours)
	hc.watch()
	require.Eventually(t, hc.peerGone, 10*time.Second, time.Millisecond)
	return hc
}

func attemptAt(url string) *attempt {
	req, _ := http.NewRequest(http.MethodGet, url, nil)
	return &attempt{req: req}
}

// A new connection whose server has said something and hung up is as little asked as one whose server goes on: what it said is no
// answer. A reset is told as one.
func TestFirstLookBesideTheHangup(t *testing.T) {
	for name, tt := range endsOfServers {
		t.Run(name, func(t *testing.T) {
			hc := endedConn(t, tt.end)
			defer hc.Close()
			_, err := hc.firstLook(attemptAt("http://origin.example"))
			if name == "FIN" {
				require.NoError(t, err) // the exchange finds it
				_, err = hc.wire().Read(make([]byte, 1))
			}
			tt.want(t, err)
		})
	}
}

// A connection that ended before anybody had it, and was closed, tells its request what it would have read.
func TestLastWord(t *testing.T) {
	for name, tt := range endsOfServers {
		t.Run(name, func(t *testing.T) { tt.want(t, lastWordOf(endedConn(t, tt.end))) })
	}
	t.Run("alert", func(t *testing.T) {
		ours, theirs := tcpPair(t)
		refused := make(chan error, 1)
		go func() {
			config := &tls.Config{Certificates: []tls.Certificate{testCertificate}, ClientAuth: tls.RequireAnyClientCert}
			refused <- tls.Server(theirs, config).Handshake()
			_ = theirs.Close()
		}()
		c := coreOf(t, &Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13}})
		tc, err := c.handshake(context.Background(), ours, "origin.example", true)
		require.NoError(t, err)
		require.Error(t, <-refused)
		hc := c.newHTTP1Conn(route{scheme: "https", host: "origin.example"}, tc)
		hc.watch()
		require.Eventually(t, hc.peerGone, 10*time.Second, time.Millisecond)
		assert.ErrorContains(t, lastWordOf(hc), "certificate required")
	})
}

// A server that refuses our certificate, in the moment between the look that finds nothing and the request that gets the connection: the
// request is told.
func TestRefusedBeforeTheRequest(t *testing.T) {
	for _, proto := range []string{"http/1.1", "h2"} {
		t.Run(proto, func(t *testing.T) {
			ours, theirs := tcpPair(t)
			refuse := make(chan struct{})
			config := &tls.Config{Certificates: []tls.Certificate{testCertificate}, NextProtos: []string{proto}}
			config.VerifyConnection = func(tls.ConnectionState) error {
				<-refuse
				return errors.New("no")
			}
			go func() {
				_ = tls.Server(theirs, config).Handshake()
				_ = theirs.Close()
			}()
			c := coreOf(t, &Transport{
				TLSClientConfig:   &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13},
				DialContext:       func(context.Context, string, string) (net.Conn, error) { return ours, nil },
				ForceAttemptHTTP2: true,
			})
			c.pool.OnOpen = func(cn conn) {
				cn.watch()
				close(refuse)
				for fit := true; fit; _, fit = cn.check(true) {
					time.Sleep(time.Millisecond)
				}
				c.pool.Retire(cn, ReasonPeerClosed) // as the reaper, which may be on its way
			}
			_, err := c.roundTrip(attemptAt("https://origin.example").req, nil)
			assert.ErrorContains(t, err, "bad certificate")
		})
	}
}

// lastWordOf does what the pool and its caller do where the reaper comes before watch has returned.
func lastWordOf(hc *http1Conn) error {
	hc.keepEnd()
	_ = hc.Close()
	return hc.lastWord(attemptAt("http://origin.example"), reasonFor(hc.watched.Err()))
}

// A reset that a Write was told of, as the system tells it once, is no end to the Read behind it.
func TestAResetThatAWriteLearnt(t *testing.T) {
	ours, theirs := tcpPair(t)
	sock := newSocket(ours)
	defer sock.Close()
	require.NoError(t, theirs.SetLinger(0))
	require.NoError(t, theirs.Close())
	var err error
	for err == nil { // until it is here
		_, err = sock.Write([]byte("a"))
	}
	require.ErrorIs(t, err, syscall.ECONNRESET)
	_, err = sock.Read(make([]byte, 1))
	assert.ErrorIs(t, err, syscall.ECONNRESET)
}
