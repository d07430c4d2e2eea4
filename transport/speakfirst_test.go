package transport_test

import (
	"bytes"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/internal/badserver"
	"github.com/watertight-go/watertight/transport"
)

// Bytes that a server sends before it was asked are not taken for the answer, even if they look like one: the request
// fails and says why, and its body is closed. A server that only shakes hands is not meant.
// On net/http it depends on which of its goroutines comes first.
func TestServerSpeaksFirst(t *testing.T) {
	for name, greeting := range map[string]string{
		"another protocol": "220 mail.example ESMTP\r\n",
		"an answer":        okResponse,
		"a 408":            "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n",
		"nothing":          "",
	} {
		for _, https := range []bool{false, true} {
			t.Run(name+map[bool]string{true: " https"}[https], func(t *testing.T) {
				server := startRaw(t, https)
				tr := &transport.Transport{TLSClientConfig: server.config}
				defer tr.Close()
				body := &countedBody{Reader: strings.NewReader("hello")}
				err := server.greeted(t, tr, greeting, body)
				if greeting == "" {
					assert.NoError(t, err)
					require.Eventually(t, func() bool { return body.closes.Load() == 1 }, patience, tick, "the answer may be quicker")
					return
				}
				assert.EqualValues(t, 1, body.closes.Load())
				assert.ErrorContains(t, err, "transport: POST "+server.url()+" ("+server.Addr().String()+"): sending the request: the server sent bytes before the request")
				assert.EqualValues(t, 1, tr.Stats().Closes[transport.ReasonUnsolicited])
				assert.Zero(t, tr.Stats().Leased)
			})
		}
	}
}

// greeted sends a request once the greeting lies in our kernel, and returns its error.
func (s *rawServer) greeted(t *testing.T, rt http.RoundTripper, greeting string, body io.Reader) error {
	spoken, served := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(served)
		c := <-s.conns
		defer c.Close()
		if h, ok := c.(interface{ Handshake() error }); ok {
			assert.NoError(t, h.Handshake())
		}
		_, err := io.WriteString(c, greeting)
		assert.NoError(t, err)
		close(spoken)
		s.answerUnlessGreeted(t, c, greeting)
	}()
	req, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { <-spoken },
	}), http.MethodPost, s.url(), body)
	require.NoError(t, err)
	resp, err := rt.RoundTrip(req)
	if err == nil {
		assert.NoError(t, resp.Body.Close())
	}
	<-served
	return err
}

func (s *rawServer) answerUnlessGreeted(t *testing.T, c net.Conn, greeting string) {
	if greeting != "" {
		_, _ = io.Copy(io.Discard, c) // until the client leaves
		return
	}
	b := make([]byte, 4096)
	_, err := c.Read(b)
	assert.NoError(t, err)
	_, err = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
	assert.NoError(t, err)
}

// A server that says 408 on an idle connection, as some do before they hang up, costs neither a request nor a line in
// a log: the connection is closed.
func TestALate408IsNoNews(t *testing.T) {
	var lines bytes.Buffer // its users end before it is read
	defer log.SetOutput(log.Writer())
	log.SetOutput(&lines)
	say := make(chan struct{})
	againstBad(t, func(t *testing.T, rt roundTripper, server *badserver.Server) {
		own, ok := rt.(*transport.Transport)
		if !ok {
			return // whether net/http takes it for the answer to the next request, depends
		}
		own.Logger = slog.New(slog.NewTextHandler(&lines, nil))
		for range 2 {
			_, got, err := do(t, rt, http.MethodGet, server.URL, "", nil)
			require.NoError(t, err)
			assert.Equal(t, "ok", got)
			say <- struct{}{}
			require.Eventually(t, func() bool { return own.Stats().Open == 0 }, patience, tick, "gone without another request")
		}
		assert.Equal(t, 2, server.Accepted())
	}, badserver.Script{
		badserver.ReadRequest{}, badserver.Write(okResponse), badserver.Wait(say),
		badserver.Write("HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n"), badserver.Close{},
	})
	assert.Empty(t, lines.String())
}
