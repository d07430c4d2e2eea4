//go:build linux

package transport_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/internal/badserver"
	"github.com/watertight-go/watertight/internal/memnet"
	"github.com/watertight-go/watertight/transport"
)

// A tunnelAnswer is what a proxy answers to CONNECT.
type tunnelAnswer struct{ name, raw, rule, refused string } // refused: what the error says; "": the tunnel is used

func tunnelAnswers() []tunnelAnswer {
	const secret = "s3cret"
	return []tunnelAnswer{
		{"plain", okLine + "\r\n", "RFC 9110 9.3.6", ""},
		{"with a length, which means nothing", okLine + "Content-Length: 5\r\n\r\n", "RFC 9110 9.3.6", ""},
		{"with a length that is none", okLine + "Content-Length: " + secret + "\r\n\r\n", "RFC 9110 9.3.6", ""},
		{"with chunks announced", okLine + "Transfer-Encoding: chunked\r\n\r\n", "RFC 9110 9.3.6", ""},
		{"behind a 103", "HTTP/1.1 103 Early Hints\r\n\r\n" + okLine + "\r\n", "RFC 9110 15.2", ""},
		{"lines that a bare LF ends", "HTTP/1.1 200 OK\nA: b\n\n", "2.2", ""},
		{"and bytes behind it", okLine + "\r\nhello", "RFC 9110 9.3.6", "sent bytes after"},
		{"and as many bytes as its length", okLine + "Content-Length: 5\r\n\r\nhello", "RFC 9110 9.3.6", "sent bytes after"},
		{"407", "HTTP/1.1 407 Who are you\r\nProxy-Authenticate: Basic realm=" + secret + "\r\nContent-Length: 6\r\n\r\n" + secret, "RFC 9110 9.3.6", "Who are you"},
		{"101", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "RFC 9110 9.3.6", "Switching"},
		{"a length that is none in a refusal", "HTTP/1.1 403 No\r\nContent-Length: " + secret + "\r\n\r\n", "RFC 9110 8.6", "Content-Length"},
		{"a coding that is none in a refusal", "HTTP/1.1 403 No\r\nTransfer-Encoding: " + secret + "\r\n\r\n", "6.3", "Transfer-Encoding"},
		{"a line without a colon", okLine + "A " + secret + "\r\n\r\n", "5", "malformed"},
		{"a space before the colon", okLine + "A : " + secret + "\r\n\r\n", "5.1", "white space"},
		{"a bare CR", okLine + "A: b\rC: " + secret + "\r\n\r\n", "2.2", "control character"},
		{"NUL", okLine + "A: " + secret + "\x00\r\n\r\n", "RFC 9110 5.5", "control character"},
		{"a signed status", "HTTP/1.1 +200 OK\r\n\r\n", "4", "status line"},
		{"another protocol, which waits for us", "SSH-2.0-x\r\n", "4", "status line"},
		{"a head without end", okLine + strings.Repeat("A: "+secret+"\r\n", 10000), "5", "MaxResponseHeaderBytes"},
		{"1xx without end", strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 10000), "RFC 9110 15.2", "MaxResponseHeaderBytes"},
	}
}

func (a tunnelAnswer) result() string {
	if a.refused != "" {
		return "refused"
	}
	return "the tunnel is open"
}

// TestTunnelAnswers has a proxy answer CONNECT in every way: the tunnel is used only after an answer whose end nobody can doubt, and no
// error says what a field held.
func TestTunnelAnswers(t *testing.T) {
	for _, a := range tunnelAnswers() {
		t.Run(a.name, func(t *testing.T) {
			used := make(chan struct{})
			proxy := badserver.Start(t, badserver.Script{badserver.ReadHead{}, badserver.Write(a.raw), badserver.Read(1), badserver.Signal(used), badserver.Close{}},
				badserver.Script{badserver.Close{}})
			s := newStory(t, echo, true, false, proxyAt(t, proxy.URL))
			s.ours.MaxResponseHeaderBytes = 10000
			_, err := s.rt.RoundTrip(s.request("GET", "/", nil))
			require.Error(t, err)
			assert.NotContains(t, err.Error(), "s3cret")
			if a.refused == "" {
				<-used // by the handshake
				return
			}
			assert.ErrorContains(t, err, a.refused)
			s.eventually("nothing is left", func() bool { st := s.ours.Stats(); return st.Open+st.Dialing == 0 })
			select {
			case <-used:
				t.Error("the tunnel was used")
			default:
			}
		})
	}
}

// A request that gives up ends its own tunnel, and not one to the same origin through the same proxy for another user.
func TestTunnelOfAnotherUserGoesOn(t *testing.T) {
	synctestProxy(t, func(t *testing.T, _ *memnet.Network, asked <-chan net.Conn, tr *transport.Transport) {
		tr.Proxy = func(req *http.Request) (*url.URL, error) {
			return &url.URL{Scheme: "http", Host: "proxy.example:3128", User: url.User(req.Header.Get("For"))}, nil
		}
		failed := make(chan error)
		ask := func(ctx context.Context, user string) {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://origin.example/", nil)
			assert.NoError(t, err)
			req.Header.Set("For", user)
			_, err = tr.RoundTrip(req)
			failed <- err
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		go ask(ctx, "me")
		mine := <-asked
		go ask(t.Context(), "you")
		yours := <-asked
		enough := errors.New("enough")
		cancel(enough)
		assert.Equal(t, enough, <-failed)
		synctest.Wait()
		assert.Equal(t, 1, tr.Stats().Dialing)
		_, err := io.WriteString(yours, "HTTP/1.1 418 Teapot\r\n\r\n")
		require.NoError(t, err)
		assert.ErrorContains(t, <-failed, "with 418 Teapot")
		assert.NoError(t, mine.Close())
		assert.NoError(t, yours.Close())
		assert.NoError(t, tr.Close())
	})
}
