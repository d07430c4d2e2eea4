package transport_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A skipper reads some of the body and declines.
type skipper struct{ closed int }

func (s *skipper) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		_, _ = io.ReadFull(req.Body, make([]byte, 3))
		_ = req.Body.Close()
	}
	return nil, http.ErrSkipAltProtocol
}

func (s *skipper) CloseIdleConnections() { s.closed++ }

// Whoever is registered for a scheme answers its requests, known schemes and others; where it declines after reading the body, the
// body is had anew; CloseIdleConnections reaches it. A second registration panics.
func TestRegisterProtocol(t *testing.T) {
	type registrar interface {
		RegisterProtocol(string, http.RoundTripper)
	}
	everywhere(t, echo, func(s *story) {
		files, alt := http.NewFileTransport(http.Dir("no-such-folder")), &skipper{}
		s.rt.(registrar).RegisterProtocol("file", files)
		s.rt.(registrar).RegisterProtocol("http", alt)
		if s.ours != nil { // net/http's HTTP/2 takes this place when it is first used
			s.rt.(registrar).RegisterProtocol("https", alt)
		}
		req := s.request(http.MethodGet, "/", nil)
		req.URL.Scheme, req.URL.Host = "file", ""
		resp := s.send(req)
		assert.Equal(s, http.StatusNotFound, resp.StatusCode)
		require.NoError(s, resp.Body.Close())

		assert.Equal(s, "POST hello", s.read(s.send(s.request(http.MethodPost, "/", strings.NewReader("hello")))))
		s.rt.CloseIdleConnections()
		if s.ours != nil {
			assert.Positive(s, alt.closed)
			assert.PanicsWithValue(s, "transport: protocol file already registered", func() { s.ours.RegisterProtocol("file", files) })
		}
	})
}

// A body that cannot be had again is an error where the alternate has read it and declined.
func TestRegisterProtocolCannotRewind(t *testing.T) {
	s := newStory(t, echo, false, false)
	s.ours.RegisterProtocol("http", &skipper{})
	_, err := s.rt.RoundTrip(s.request(http.MethodPost, "/", io.NopCloser(strings.NewReader("hello"))))
	require.ErrorContains(t, err, "GetBody is nil")
	s.wantDials(0)
}
