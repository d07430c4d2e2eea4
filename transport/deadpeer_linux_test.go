package transport_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The default dialer's connections, and those beneath the caller's TLS, are bounded like others.
func TestUnackedTimeoutWhoeverDials(t *testing.T) {
	for name, set := range map[string]func(*http.Transport){
		"nobody": func(tr *http.Transport) { tr.DialContext = nil },
		"DialTLSContext": func(tr *http.Transport) {
			config := tr.TLSClientConfig
			config.ServerName = "example.com"
			tr.DialTLSContext = func(_ context.Context, network, addr string) (net.Conn, error) {
				return tls.Dial(network, addr, config)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStory(t, echo, true, false, set)
			got := false
			s.read(s.send(s.request(http.MethodGet, "/", nil).WithContext(httptrace.WithClientTrace(s.Context(), &httptrace.ClientTrace{
				GotConn: func(i httptrace.GotConnInfo) {
					got = true
					nc := i.Conn.(*tls.Conn).NetConn()
					if w, ok := nc.(interface{ NetConn() net.Conn }); ok {
						nc = w.NetConn()
					}
					assert.Equal(s, 300000, option(s, nc, syscall.IPPROTO_TCP, tcpUserTimeout))
					assert.Equal(s, 1, option(s, nc, syscall.SOL_SOCKET, syscall.SO_KEEPALIVE))
				},
			}))))
			assert.True(s, got)
		})
	}
}

// A network goes away under connections in all states, and every packet is lost, or all that go one way: an idle one, one that waits for a
// head, one whose body is read, and one that uploads. All end by themselves, and those who wait are told. Once the network is back, so are the answers.
func TestSilentPeerInEveryState(t *testing.T) {
	t.Parallel()
	for _, lost := range []struct {
		name string
		ends []int
	}{{"all packets", []int{toClient, toServer}}, {"those to the client", []int{toClient}}, {"those to the server", []int{toServer}}} {
		t.Run(lost.name, func(t *testing.T) {
			t.Parallel()
			arrived, over := make(chan struct{}), make(chan struct{})
			n, w := newWire(t, func(w http.ResponseWriter, r *http.Request) {
				switch r.URL.Path {
				case "/body":
					_, _ = w.Write(pattern(20000))
					w.(http.Flusher).Flush()
					fallthrough
				case "/head", "/upload":
					arrived <- struct{}{}
					<-over
				}
			}, nil)
			defer close(over)
			dialer := &net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: time.Second, Interval: time.Second, Count: 2}}
			n.dialBy(dialer)
			n.tr.UnackedTimeout = 3 * time.Second // which is how long what comes before the loss may take
			ends, uploaded := make(chan error, 2), make(chan error, 1)
			go func() { ends <- upload(t.Context(), n.tr, n.URL+"/head", 0) }()
			<-arrived
			go func() { uploaded <- upload(t.Context(), n.tr, n.URL+"/upload", 64<<20) }()
			<-arrived
			resp := mustGet(t, n.tr, n.URL+"/body")
			<-arrived
			go func() {
				_, err := io.Copy(io.Discard, resp.Body)
				ends <- err
			}()
			require.NoError(t, mustGet(t, n.tr, n.URL+"/idle").Body.Close())
			st := n.tr.Stats()
			require.Equal(t, 4, st.Open)
			require.Equal(t, 1, st.Idle)
			for _, end := range lost.ends {
				w.cut[end].Store(true)
			}
			for range 2 {
				assert.ErrorIs(t, <-ends, syscall.ETIMEDOUT)
			}
			// The kernel says it once: to the upload's Write, or to the Read beside it.
			assert.True(t, isEnd(<-uploaded), "the upload's end")
			require.Eventually(t, func() bool { return n.tr.Stats().Open == 0 }, patience, tick)
			for _, end := range lost.ends {
				w.cut[end].Store(false)
			}
			require.NoError(t, mustGet(t, n.tr, n.URL+"/idle").Body.Close())
		})
	}
}

// isEnd reports whether err is what a Write or a Read makes of a socket that has timed out.
func isEnd(err error) bool {
	return errors.Is(err, syscall.ETIMEDOUT) || errors.Is(err, syscall.EPIPE) || errors.Is(err, io.EOF)
}
