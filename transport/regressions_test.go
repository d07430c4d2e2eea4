package transport_test

import (
	"bufio"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/internal/badserver"
)

// A retry works under an http.Client with a Timeout, which sets Request.Cancel.
func TestRetryUnderAClientWithTimeout(t *testing.T) {
	for _, std := range []bool{true, false} {
		once := badserver.Script{badserver.ReadRequest{}, badserver.Write(okResponse), badserver.ReadRequest{}, badserver.Close{}}
		server := badserver.Start(t, once, badserver.Script{badserver.ReadRequest{}, badserver.Write(okResponse), badserver.Stall{}})
		s := newStory(t, echo, false, std)
		client := &http.Client{Transport: s.rt, Timeout: patience}
		for range 2 {
			resp, err := client.Get(server.URL)
			require.NoError(s, err)
			assert.Equal(s, "ok", s.read(resp))
		}
	}
}

// A proxy whose URL is not valid as text is an error: nobody is asked directly instead.
func TestProxyURLThatIsNoText(t *testing.T) {
	everywhere(t, echo, func(s *story) {
		_, err := s.rt.RoundTrip(s.request(http.MethodGet, "/", nil))
		require.Error(s, err)
		assert.NotContains(s, err.Error(), "secret")
	}, func(tr *http.Transport) {
		tr.DialContext = nil
		tr.Proxy = http.ProxyURL(&url.URL{Scheme: "http", User: url.UserPassword("me", "secret"), Host: "127.0.0.1:http:1"})
	})
}

// A connection that carried an upload is used again under a ResponseHeaderTimeout, though the head came after the body was sent.
func TestUploadsReuseUnderResponseHeaderTimeout(t *testing.T) {
	everywhere(t, echo, func(s *story) {
		for range 5 {
			body := io.NopCloser(strings.NewReader(strings.Repeat("x", 20000)))
			assert.Len(s, s.read(s.send(s.request(http.MethodPost, "/", body))), 20000+len("POST "))
		}
		s.wantDials(1)
	}, func(tr *http.Transport) { tr.ResponseHeaderTimeout = time.Minute })
}

// A 101 that does not name a protocol hands over nothing: it has no body, and costs its connection.
func TestSwitchToNothing(t *testing.T) {
	for _, std := range []bool{true, false} {
		server := startRaw(t, false)
		go func() {
			c := <-server.conns
			answer(t, bufio.NewReader(c), c, "HTTP/1.1 101 Switching Protocols\r\n\r\n")
			_, _ = io.Copy(io.Discard, c)
			_ = c.Close()
		}()
		s := newStory(t, echo, false, std)
		resp := mustGet(t, s.rt, server.url())
		b, err := io.ReadAll(resp.Body)
		require.NoError(s, err)
		assert.Empty(s, b)
		require.NoError(s, resp.Body.Close())
		if s.ours != nil {
			assert.Empty(s, s.ours.OpenBodies())
			s.eventually("closed", func() bool { return s.ours.Stats().Open == 0 })
		}
	}
}
